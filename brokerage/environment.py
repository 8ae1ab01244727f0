"""Read settings from the environment. An invalid value is refused with one line that names the setting."""

import os
import re
from decimal import Decimal
from urllib.parse import urlsplit

from django.core.exceptions import ImproperlyConfigured

SWITCHES = {"1": True, "true": True, "yes": True, "on": True, "0": False, "false": False, "no": False, "off": False}
WHOLE_NUMBER_MAX = 10**9


def text(name: str, default: str) -> str:
    """Return a variable, or the default if it is not set."""
    return os.environ.get(name, default)


def required(name: str, purpose: str) -> str:
    """Return a variable that has no default.

    Raises:
        ImproperlyConfigured: It is not set.
    """
    if name not in os.environ:
        raise ImproperlyConfigured(f"{name} is not set: {purpose}")
    return os.environ[name]


def switch(name: str, *, default: bool = False) -> bool:
    """Return whether something is switched on.

    Raises:
        ImproperlyConfigured: It is neither on nor off.
    """
    value = os.environ.get(name, "").strip().lower()
    if not value:
        return default
    if value not in SWITCHES:
        raise ImproperlyConfigured(f"{name} takes true or false, not {os.environ[name]!r}.")
    return SWITCHES[value]


def number(name: str, default: int, *, minimum: int = 0, maximum: int = WHOLE_NUMBER_MAX) -> int:
    """Return a whole number.

    Raises:
        ImproperlyConfigured: It is not a number from `minimum` to `maximum`.
    """
    value = os.environ.get(name, "").strip() or str(default)
    if not (value.isascii() and value.isdigit() and minimum <= int(value) <= maximum):
        raise ImproperlyConfigured(f"{name} takes a number from {minimum} to {maximum}, not {value!r}.")
    return int(value)


def ratio(name: str, default: str) -> Decimal:
    """Return a ratio from 0 to 1 with at most four decimals: 0.05 for 5%.

    Raises:
        ImproperlyConfigured: It is not a number from 0 to 1.
    """
    value = os.environ.get(name, "").strip() or default
    if not re.fullmatch(r"0(\.\d{1,4})?|1(\.0{1,4})?", value, re.ASCII):
        raise ImproperlyConfigured(f"{name} takes a number from 0 to 1 such as 0.05, not {value!r}.")
    return Decimal(value)


def one_of(name: str, values: tuple[str, ...], default: str) -> str:
    """Return one of these values; the variable's case does not matter.

    Raises:
        ImproperlyConfigured: It is another one.
    """
    value = os.environ.get(name, "").strip() or default
    found = {known.lower(): known for known in values}.get(value.lower())
    if found is None:
        raise ImproperlyConfigured(f"{name} takes {', '.join(values[:-1])} or {values[-1]}, not {value!r}.")
    return found


def url(name: str, default: str | None, schemes: tuple[str, ...]) -> str:
    """Return a URL of one of these schemes.

    Raises:
        ImproperlyConfigured: It is not set and has no default, or it is something else.
    """
    value = os.environ.get(name, default)
    expected = " or ".join(f"{scheme}://…" for scheme in schemes)
    if value is None:
        raise ImproperlyConfigured(f"{name} is not set: it takes {expected}.")
    try:
        parts = urlsplit(value)
        is_fine = parts.scheme in schemes and bool(parts.netloc)
    except ValueError:
        is_fine = False
    if not is_fine:  # a URL may contain a password: only its scheme is repeated
        raise ImproperlyConfigured(f"{name} takes {expected}, not {value.split(':')[0][:20]!r}.")
    return value
