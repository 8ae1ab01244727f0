"""Fixtures for the fault tests."""

import pytest
from django.conf import settings

from tests.conftest import StandInExchange
from trades import asking, sweep


@pytest.fixture
def willing(exchange: StandInExchange, monkeypatch: pytest.MonkeyPatch) -> StandInExchange:
    """Make the exchange execute at once, and sweeps act without waiting."""
    exchange.faults(latencyMs=0)
    for module, name in [
        (asking, "ASK_AFTER_SECONDS"),
        (sweep, "RING_AFTER_SECONDS"),
        (sweep, "ACT_AFTER_SECONDS"),
    ]:
        monkeypatch.setattr(module, name, 0)
    # Steps are counted one after the other, and one lane rings once whoever the customers are.
    monkeypatch.setattr(sweep, "QUESTIONS_AT_ONCE", 1)
    monkeypatch.setattr(settings, "LANES", 1)
    return exchange
