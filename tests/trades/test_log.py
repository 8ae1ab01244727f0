"""A trade can be followed through the log by its id, from the request to the settlement."""

from decimal import Decimal
from typing import Any

import pytest
from django.db import OperationalError, connection

from accounts.models import Customer
from tests.conftest import StandInExchange
from tests.people import send_report
from trades.cancel import cancel_trade
from trades.models import Status, Trade
from trades.place import place_trade
from trades.sweep import ask_now
from trades.turn import take_turn

pytestmark = pytest.mark.django_db(transaction=True)


def log_lines(caplog: pytest.LogCaptureFixture, trade: Trade) -> list[str]:
    """Return the log lines about a trade, in order."""
    lines: list[Any] = [record.msg for record in caplog.records if isinstance(record.msg, dict)]
    return [line["event"] for line in lines if str(trade.id) in line.get("trades", [])]


@pytest.fixture(autouse=True)
def _everything(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")


def test_the_log_follows_a_trade_from_request_to_settlement(
    bob: Customer, exchange: StandInExchange, caplog: pytest.LogCaptureFixture
) -> None:
    trade, _ = place_trade(bob.id, "AAPL", "BUY", 1)
    take_turn([bob.id], "lanes.1")
    ask_now(trade.id)
    send_report(trade, Status.FILLED, Decimal("10.0000"))
    take_turn([bob.id], "lanes.1")
    assert log_lines(caplog, trade) == ["placed", "claimed", "executed", "asked the exchange", "reported", "filled"]


def test_cancelled_and_rolled_back_trades_in_the_log(
    bob: Customer, exchange: StandInExchange, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    trade, _ = place_trade(bob.id, "AAPL", "BUY", 1)
    with monkeypatch.context() as patched:
        patched.setattr("accounts.ledger.Books.add_to", lambda *_: connection.cursor().execute("SELECT nothing"))
        take_turn([bob.id], "lanes.1")
    assert log_lines(caplog, trade) == ["placed"], "what was rolled back did not happen"
    cancel_trade(bob.id, trade.id, "api")
    assert log_lines(caplog, trade) == ["placed", "rejected"]


def test_an_outage_of_the_database_is_a_line_and_no_traceback(
    bob: Customer, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: Any) -> None:
        raise OperationalError("the connection is lost")

    monkeypatch.setattr("trades.turn.settle_and_claim", away)
    take_turn([bob.id], "lanes.1")
    (line,) = [record.msg for record in caplog.records if isinstance(record.msg, dict)]
    assert (line["event"], line["level"]) == ("turn failed", "warning")
    assert "the connection is lost" in line["error"]
    assert "exception" not in line
