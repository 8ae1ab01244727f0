"""Simultaneous reports from the exchange settle a trade once, even if they contradict each other."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from django.conf import settings
from django.test import Client
from standardwebhooks import Webhook

from accounts.models import Balance, Customer, Posting
from tests.people import claim, report_body
from tests.races.concurrency import together
from trades.models import Outcome, Report, Status, Trade
from trades.place import place_trade
from trades.report import store_reports

COPIES = 10


@pytest.fixture
def in_flight(alice: Customer) -> Trade:
    """Return a BUY of 3 that Alice, with 1,000 USD, has in flight."""
    trade, _ = place_trade(alice.id, "AAPL", "BUY", 3)
    claim(alice)
    return trade


def callback(*bodies: dict[str, Any]) -> Callable[[], Any]:
    """Return a function that sends a callback as the exchange does, with its own id."""
    body = json.dumps({"reports": bodies})
    at = datetime.now(UTC)
    message_id = f"msg_{id(body)}"
    headers = {
        "webhook-id": message_id,
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": Webhook(settings.EXCHANGE_SECRET.split()[0]).sign(message_id, at, body),
    }
    client = Client(headers=headers)
    return lambda: client.post("/exchange/callbacks", body, "application/json").status_code


def test_simultaneous_copies_of_a_report_are_stored_and_settled_once(alice: Customer, in_flight: Trade) -> None:
    report = report_body(in_flight, Status.FILLED, Decimal(100))
    together(*[lambda: store_reports([report, report], Report.Source.CALLBACK)] * COPIES)
    assert Report.objects.filter(trade_id=in_flight.id).count() == 1
    together(*[lambda: claim(alice)] * COPIES)
    assert Posting.objects.filter(cause=in_flight.id).count() == 2
    assert Balance.objects.get(customer=alice).amount == 700


def test_simultaneous_copies_of_a_callback_settle_once_during_turns(alice: Customer, in_flight: Trade) -> None:
    report = report_body(in_flight, Status.FILLED, Decimal(100))
    responses = together(*[callback(report) for _ in range(COPIES)], *[lambda: claim(alice)] * 4)
    assert responses[:COPIES] == [204] * COPIES
    claim(alice)
    assert Report.objects.get(trade_id=in_flight.id).outcome == Outcome.SETTLED
    assert Posting.objects.filter(cause=in_flight.id).count() == 2
    assert Balance.objects.get(customer=alice).amount == 700


def test_simultaneous_callbacks_with_the_same_reports_in_opposite_order_store_them_once(
    crowd_in_flight: list[Trade],
) -> None:
    reports = [report_body(trade, Status.FILLED, Decimal(10)) for trade in crowd_in_flight]
    together(*[callback(*reports), callback(*reversed(reports))] * 5)
    assert Report.objects.filter(trade_id__in=[trade.id for trade in crowd_in_flight]).count() == len(reports)


def test_of_simultaneous_contradicting_reports_one_is_settled_and_all_are_stored(
    alice: Customer, in_flight: Trade
) -> None:
    reports = [report_body(in_flight, Status.FILLED, Decimal(price)) for price in range(100, 100 + COPIES)]
    reports += [report_body(in_flight, Status.REJECTED)]

    def store_and_claim(report: dict[str, Any]) -> None:
        store_reports([report], Report.Source.CALLBACK)
        claim(alice)

    together(*[lambda report=report: store_and_claim(report) for report in reports])
    claim(alice)
    outcomes = list(Report.objects.filter(trade_id=in_flight.id).values_list("outcome", flat=True))
    assert sorted(outcomes) == [Outcome.CONTRADICTS] * COPIES + [Outcome.SETTLED]
    in_flight.refresh_from_db()
    postings = Posting.objects.filter(cause=in_flight.id).count()
    assert postings == (2 if in_flight.status == Status.FILLED else 0)
    assert Balance.objects.get(customer=alice).amount == 1000 - (in_flight.amount or 0)
