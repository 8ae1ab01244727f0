"""SQL fragments that several of the audit's rules share."""

from collections.abc import Iterable

from trades.models import FINAL, Reason

CLOCKS_APART_SECONDS_MAX = 60  # a time may precede the one it follows by this much: a failover brings another clock


def texts(values: Iterable[str]) -> str:
    """Return values as a comma-separated list of SQL string literals."""
    return ", ".join(f"'{value}'" for value in values)


FINAL_TEXTS = texts(sorted(FINAL))
REASON_TEXTS = texts(Reason.values)
