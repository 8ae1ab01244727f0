"""What stops the brokerage from running here, told to a person."""


class Trouble(Exception):
    """One line that says what is wrong and what to do about it."""
