"""The difference between the exchange's clock and the database's. Sweeps measure it; the desk and an alert use it."""

from django.db import connection

from exchange import exchange_time, gateway
from exchange.models import ClockSkew


def measure() -> None:
    """Measure the skew and store it, replacing the previous measurement.

    Raises:
        Unknown: The exchange does not answer.
    """
    gateway.clock()
    with connection.cursor() as cursor:
        cursor.execute(STORE, [exchange_time.now()])


def latest() -> float | None:
    """Return how many seconds the exchange's clock was ahead of the database's; None before the first measurement."""
    skew = ClockSkew.objects.first()
    return None if skew is None else skew.seconds


STORE = """
    INSERT INTO exchange_clockskew (id, seconds, measured_at)
    VALUES (1, extract(epoch FROM %s - clock_timestamp()), clock_timestamp())
    ON CONFLICT (id) DO UPDATE SET seconds = excluded.seconds, measured_at = excluded.measured_at
"""
