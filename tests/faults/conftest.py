"""What the tests of faults ask for."""

import pytest

from tests.conftest import StandInExchange
from trades import sweep, turn


@pytest.fixture
def willing(exchange: StandInExchange, monkeypatch: pytest.MonkeyPatch) -> StandInExchange:
    """An exchange that executes at once, and sweeps without patience."""
    exchange.faults(latencyMs=0)
    for module, name in [
        (turn, "ASK_AFTER_SECONDS"),
        (sweep, "ASK_AFTER_SECONDS"),
        (sweep, "RING_AFTER_SECONDS"),
        (sweep, "ACT_AFTER_SECONDS"),
    ]:
        monkeypatch.setattr(module, name, 0)
    return exchange
