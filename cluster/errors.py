"""Errors that are shown to the operator who ran the command."""


class UserError(Exception):
    """The message is one line that says what is wrong and how to fix it."""
