"""Fixtures for the fault tests."""

import pytest
from django.conf import settings

from tests.conftest import StandInExchange
from trades import asking, sweep


@pytest.fixture
def instant_exchange(exchange: StandInExchange, monkeypatch: pytest.MonkeyPatch) -> StandInExchange:
    """Make the exchange execute at once, and sweeps act without waiting."""
    exchange.faults(latencyMs=0)
    for module, name in [
        (asking, "ASK_AFTER_SECONDS"),
        (sweep, "RING_AFTER_SECONDS"),
        (sweep, "ACT_AFTER_SECONDS"),
    ]:
        monkeypatch.setattr(module, name, 0)
    # Count steps in a fixed order: one question at a time, and one ring, because all customers share one lane.
    monkeypatch.setattr(sweep, "QUESTIONS_AT_ONCE", 1)
    monkeypatch.setattr(settings, "LANES", 1)
    return exchange
