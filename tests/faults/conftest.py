"""Fixtures for the fault tests."""

import pytest
from django.conf import settings

from tests.conftest import StandInExchange
from trades import asking, sweep


@pytest.fixture
def instant_exchange(exchange: StandInExchange, monkeypatch: pytest.MonkeyPatch) -> StandInExchange:
    """Make the exchange execute immediately, and sweeps act without waiting."""
    exchange.faults(latencyMs=0)
    for module, name in [
        (asking, "ASK_AFTER_SECONDS"),
        (sweep, "RING_AFTER_SECONDS"),
        (sweep, "ACT_AFTER_SECONDS"),
    ]:
        monkeypatch.setattr(module, name, 0)
    # Keep the order of steps fixed: ask about one trade at a time, and ring once because all customers share a lane.
    monkeypatch.setattr(sweep, "QUESTIONS_AT_ONCE", 1)
    monkeypatch.setattr(settings, "LANES", 1)
    return exchange
