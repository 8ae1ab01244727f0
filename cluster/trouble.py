"""What an operator can do something about."""


class Trouble(Exception):
    """The message is one line that says what to do."""
