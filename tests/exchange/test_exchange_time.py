"""The exchange's clock, as measured from its responses."""

from datetime import UTC, datetime, timedelta

import pytest

from exchange import exchange_time

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _no_time_known() -> None:
    exchange_time.forget()


def test_there_is_no_time_before_the_first_response() -> None:
    assert exchange_time.now() is None
    assert exchange_time.age_seconds() == float("inf")


def test_the_time_advances_from_the_last_response() -> None:
    exchange_time.note(NOON)
    now = exchange_time.now()
    assert now is not None
    assert NOON <= now < NOON + timedelta(seconds=5)
    exchange_time.note(NOON - timedelta(hours=1))
    now = exchange_time.now()
    assert now is not None
    assert now < NOON, "if the exchange's clock is set back, ours follows"
