"""The trading commands, called as an operator does."""

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


def printed(*arguments: Any) -> str:
    out = io.StringIO()
    call_command(*arguments, stdout=out)
    return out.getvalue()


@pytest.fixture
def sam(db: None) -> Customer:
    return CustomerFactory.create(email="sam@example.com", is_staff=True)


def test_a_trades_whole_history_is_printed(exchange: StandInExchange, alice: Customer) -> None:
    trade, _ = place_trade(alice.id, "AAPL", "SELL", 2)
    take_turn([alice.id], "lanes.1")
    send_report(trade, Status.FILLED, Decimal(100))
    claim(alice)
    life = json.loads(printed("trade", str(trade.id), "--json"))
    assert (life["status"], life["price"], life["customerId"]) == ("FILLED", "100.0000", alice.id)
    assert life["why"] == "The exchange executed it at 100.00 USD per share, 200.00 USD in total."
    assert [row["to"] for row in life["history"]] == ["PLACED", "IN PROGRESS", "FILLED"]
    assert [(report["source"], report["outcome"]) for report in life["reports"]] == [("callback", "settled")]
    assert [(call["call"], call["answer"]) for call in life["calls"]] == [("Execute", "accepted")]
    text = printed("trade", str(trade.id))
    assert text.startswith(f"SELL 2 AAPL: FILLED\n{life['why']}\n")


def test_an_unknown_trade_is_reported(db: None) -> None:
    with pytest.raises(CommandError, match="There is no trade"):
        call_command("trade", str(uuid4()))


@pytest.mark.parametrize(
    ("subject", "says"),
    [([], "everything"), (["--ticker", "aapl"], "AAPL"), (["--customer", "alice@example.com"], "alice@example.com")],
    ids=["all", "ticker", "customer"],
)
def test_halting_and_lifting(alice: Customer, sam: Customer, subject: list[str], says: str) -> None:
    who = ["--by", "sam@example.com", "--reason", "News pending."]
    assert printed("halt", *subject, *who) == f"Halted {says}.\n"
    assert rules().is_halted(alice.id, "AAPL")
    assert printed("halt", *subject, *who, "--lift") == f"Lifted the halt of {says}.\n"
    assert not rules().is_halted(alice.id, "AAPL")


def test_only_staff_can_halt(alice: Customer) -> None:
    with pytest.raises(CommandError, match="not a member of staff"):
        call_command("halt", "--by", "alice@example.com", "--reason", "-")
    with pytest.raises(CommandError, match="There is no account"):
        call_command("halt", "--by", "nobody@example.com", "--reason", "-")


def test_the_status(exchange: StandInExchange, alice: Customer, bob: Customer, sam: Customer) -> None:
    place_trade(alice.id, "AAPL", "SELL", 1)
    claim(alice)
    place_trade(bob.id, "AAPL", "BUY", 1)
    status = json.loads(printed("status", "--json"))
    assert (status["placed"], status["inProgress"], status["dueTurns"], status["halts"]) == (1, 1, 1, [])
    assert status["exchange"] in {"open", "closed"}
    printed("halt", "--ticker", "AAPL", "--by", "sam@example.com", "--reason", "-")
    status = json.loads(printed("status", "--json"))
    assert (status["dueTurns"], status["halts"]) == (0, ["Halt a stock AAPL on"])
    assert "dueTurns                0" in printed("status")


@pytest.mark.parametrize("command", ["trade", "halt", "status"])
def test_help_shows_an_example(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        call_command(command, "--help")
    assert "Example: manage.py" in " ".join(capsys.readouterr().out.split())
