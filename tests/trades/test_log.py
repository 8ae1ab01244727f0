"""The log shows a trade's whole way by its id, from the request to the settlement."""

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
def _log_everything(caplog: pytest.LogCaptureFixture) -> None:
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


def test_the_log_omits_what_was_rolled_back_and_shows_a_cancellation(
    bob: Customer, exchange: StandInExchange, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    trade, _ = place_trade(bob.id, "AAPL", "BUY", 1)
    with monkeypatch.context() as patch:
        patch.setattr("accounts.ledger.Books.add_to", lambda *_: connection.cursor().execute("SELECT nothing"))
        take_turn([bob.id], "lanes.1")
    assert log_lines(caplog, trade) == ["placed"], "a claim that was rolled back isn't logged"
    cancel_trade(bob.id, trade.id, "api")
    assert log_lines(caplog, trade) == ["placed", "rejected"]


def test_a_database_outage_is_logged_in_one_line_without_a_traceback(
    bob: Customer, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lose_connection(*_: Any) -> None:
        raise OperationalError("the connection is lost")

    monkeypatch.setattr("trades.turn.settle_and_claim", lose_connection)
    take_turn([bob.id], "lanes.1")
    (line,) = [record.msg for record in caplog.records if isinstance(record.msg, dict)]
    assert (line["event"], line["level"]) == ("turn failed", "warning")
    assert "the connection is lost" in line["error"]
    assert "exception" not in line
