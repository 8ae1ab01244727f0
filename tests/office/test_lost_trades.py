"""After a restore, the operator learns what customers were told that is no longer true."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.core.management import call_command
from django.test import Client

from accounts.models import Customer
from tests.conftest import StandInExchange
from trades.cancel import cancel_trade
from trades.models import Reason, Status
from trades.place import place_trade


def found(capsys: pytest.CaptureFixture[str], *arguments: Path | str) -> dict[str, dict[str, Any]]:
    capsys.readouterr()
    with pytest.raises(SystemExit):
        call_command("lost_trades", *map(str, arguments))
    *lines, _ = map(json.loads, capsys.readouterr().out.splitlines())
    return {line.get("tradeId") or line["transferId"]: line for line in lines}


def log(folder: Path, *events: dict[str, Any]) -> Path:
    file = folder / "web1.log"
    file.write_text("".join(json.dumps(event) + "\n" for event in events) + "{not JSON\n")
    return file


def test_trades_and_transfers_in_the_logs_alone_are_lost(
    alice: Customer, exchange: StandInExchange, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    trade, transfer = str(uuid4()), str(uuid4())
    terms = {"customer": alice.id, "type": "deposit", "amount": "12.5000"}
    file = log(
        tmp_path,
        {"event": "placed", "trades": [trade], "customer": alice.id},
        {"event": "transferred", "transfer": transfer} | terms,
    )
    lines = found(capsys, file)
    assert (lines[trade]["what"], lines[trade]["customer"]) == ("lost", alice.id)
    assert lines[transfer] == {"what": "lost transfer", "transferId": transfer} | terms


def test_a_trade_that_the_customer_saw_end_is_open_again(
    alice: Customer, exchange: StandInExchange, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (reopened, _), (ended, _) = (place_trade(alice.id, "AAPL", "BUY", 1) for _ in range(2))
    cancel_trade(alice.id, ended.id, "api")
    file = log(tmp_path, {"event": "rejected", "trades": [str(reopened.id), str(ended.id), str(uuid4())]})
    (line,) = [line for line in found(capsys, file).values() if line["what"] == "reopened"]
    assert (line["tradeId"], line["customer"], line["told"]) == (str(reopened.id), alice.id, "REJECTED")
    reopened.refresh_from_db()
    assert (line["cancelled"], reopened.status) == (False, Status.PLACED)
    assert found(capsys, file, "--cancel")[str(reopened.id)]["cancelled"] is True
    reopened.refresh_from_db()
    assert (reopened.status, reopened.reason_code) == (Status.REJECTED, Reason.CANCELLED)


def test_a_transfer_is_logged_once(
    alice: Customer, api_of: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    api: Client = api_of(alice)
    for _ in range(2):
        answer = api.post(
            "/api/v1/deposits",
            {"amount": "3.00"},
            content_type="application/json",
            headers={"Idempotency-Key": "once"},
        )
    events = [record.msg for record in caplog.records if isinstance(record.msg, dict)]
    (event,) = [event for event in events if event["event"] == "transferred"]
    assert (event["customer"], event["type"], Decimal(event["amount"])) == (alice.id, "deposit", 3)
    assert UUID(event["transfer"])
    assert answer.status_code == 200
