"""Long documents in parts: which one a request asks for."""

from django.http import HttpRequest

DIGITS_MAX = 5


def part_asked(request: HttpRequest) -> int:
    """Return the number of the part that a request asks for, from 1; 1 if it asks for none, 0 if it is no number."""
    part = request.GET.get("part", "1")
    return int(part) if part.isascii() and part.isdecimal() and len(part) <= DIGITS_MAX else 0
