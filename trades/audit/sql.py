"""What the rules of several subjects need in their SQL."""

from collections.abc import Iterable

from trades.models import FINAL, Reason

CLOCKS_APART_SECONDS_MAX = 60  # a time may be this much before the one it follows: a failover brings another clock


def texts(values: Iterable[str]) -> str:
    """Return values as a list of SQL texts."""
    return ", ".join(f"'{value}'" for value in values)


FINAL_TEXTS = texts(sorted(FINAL))
REASON_TEXTS = texts(Reason.values)
