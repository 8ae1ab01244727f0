"""The trading commands, called the way an operator calls them."""

import io
import json
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest
from django.core.management import CommandError, call_command

from accounts.models import Customer
from tests.conftest import StandInExchange
from tests.factories import CustomerFactory
from tests.people import claim, send_report
from trades.controls import rules
from trades.models import Status
from trades.place import place_trade
from trades.turn import take_turn


def output_of(*arguments: Any) -> str:
    output = io.StringIO()
    call_command(*arguments, stdout=output)
    return output.getvalue()


@pytest.fixture
def sam(db: None) -> Customer:
    return CustomerFactory.create(email="sam@example.com", is_staff=True)


def test_a_trades_whole_history_is_printed(exchange: StandInExchange, alice: Customer) -> None:
    trade, _ = place_trade(alice.id, "AAPL", "SELL", 2)
    take_turn([alice.id], "lanes.1")
    send_report(trade, Status.FILLED, Decimal(100))
    claim(alice)
    trade_details = json.loads(output_of("trade", str(trade.id), "--json"))
    assert (trade_details["status"], trade_details["price"], trade_details["customerId"]) == (
        "FILLED",
        "100.0000",
        alice.id,
    )
    assert trade_details["why"] == "The exchange executed it at 100.00 USD per share, 200.00 USD in total."
    assert [row["to"] for row in trade_details["history"]] == ["PLACED", "IN PROGRESS", "FILLED"]
    assert [(report["source"], report["outcome"]) for report in trade_details["reports"]] == [("callback", "settled")]
    assert [(call["call"], call["answer"]) for call in trade_details["calls"]] == [("Execute", "accepted")]
    text = output_of("trade", str(trade.id))
    assert text.startswith(f"SELL 2 AAPL: FILLED\n{trade_details['why']}\n")


def test_an_unknown_trade_is_reported(db: None) -> None:
    with pytest.raises(CommandError, match="There is no trade"):
        call_command("trade", str(uuid4()))


@pytest.mark.parametrize(
    ("subject", "described"),
    [([], "everything"), (["--ticker", "aapl"], "AAPL"), (["--customer", "alice@example.com"], "alice@example.com")],
    ids=["all", "ticker", "customer"],
)
def test_a_halt_can_be_set_and_lifted(alice: Customer, sam: Customer, subject: list[str], described: str) -> None:
    by = ["--by", "sam@example.com", "--reason", "News pending."]
    assert output_of("halt", *subject, *by) == f"Halted {described}.\n"
    assert rules().is_halted(alice.id, "AAPL")
    assert output_of("halt", *subject, *by, "--lift") == f"Lifted the halt of {described}.\n"
    assert not rules().is_halted(alice.id, "AAPL")


def test_only_staff_can_halt(alice: Customer) -> None:
    with pytest.raises(CommandError, match="not a member of staff"):
        call_command("halt", "--by", "alice@example.com", "--reason", "-")
    with pytest.raises(CommandError, match="There is no account"):
        call_command("halt", "--by", "nobody@example.com", "--reason", "-")


def test_the_status_counts_trades_and_lists_halts(
    exchange: StandInExchange, alice: Customer, bob: Customer, sam: Customer
) -> None:
    place_trade(alice.id, "AAPL", "SELL", 1)
    claim(alice)
    place_trade(bob.id, "AAPL", "BUY", 1)
    status = json.loads(output_of("status", "--json"))
    assert (status["placed"], status["inProgress"], status["dueTurns"], status["halts"]) == (1, 1, 1, [])
    assert status["exchange"] in {"open", "closed"}
    output_of("halt", "--ticker", "AAPL", "--by", "sam@example.com", "--reason", "-")
    status = json.loads(output_of("status", "--json"))
    assert (status["dueTurns"], status["halts"]) == (0, ["Halt a stock AAPL on"])
    assert "dueTurns                0" in output_of("status")


@pytest.mark.parametrize("command", ["trade", "halt", "status"])
def test_help_shows_an_example(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        call_command(command, "--help")
    assert "Example: manage.py" in " ".join(capsys.readouterr().out.split())
