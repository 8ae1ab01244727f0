"""Errors that are shown to the person who ran the command."""

import re

CAUSES = (re.compile("No space left on device"), re.compile(r"\b(?:error|FATAL|PANIC):"))  # the likeliest first


class UserError(Exception):
    """The message is one line that says what is wrong and how to fix it."""


def reason_in(output: str) -> str:
    """Return the line of a program's output that says why it failed: a full disk, the last error, or the last line."""
    lines = output.strip().splitlines() or ["its log is empty"]
    return next((line for cause in CAUSES for line in reversed(lines) if cause.search(line)), lines[-1])
