"""Reports are stored once, exactly as received."""

import json
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest

from accounts.models import Customer
from tests.people import report_body, take_rung_customers
from trades.lane import lane_of
from trades.models import Outcome, Report, Status, Trade
from trades.place import place_trade
from trades.report import store_reports


@pytest.fixture
def trade(bob: Customer) -> Trade:
    return place_trade(bob.id, "AAPL", "BUY", 3)[0]


def fill(trade: Trade, **more: Any) -> dict[str, Any]:
    return report_body(trade, Status.FILLED, Decimal("12.5000"), **more)


def test_a_report_is_stored_exactly_as_received(trade: Trade) -> None:
    body = fill(trade, note="a field that we don't know", nested={"a": [1, None]})
    store_reports([body], Report.Source.CALLBACK)
    report = Report.objects.get(trade_id=trade.id)
    assert json.loads(report.body) == body
    assert (report.source, report.outcome, report.customer_id) == ("callback", Outcome.WAITING, trade.customer_id)


def test_the_same_report_is_stored_once_whatever_its_field_order_and_source(trade: Trade) -> None:
    body = fill(trade)
    store_reports([body, body], Report.Source.CALLBACK)
    store_reports([dict(reversed(body.items()))], Report.Source.SWEEP)
    assert Report.objects.get(trade_id=trade.id).source == "callback"


def test_a_different_report_on_the_same_trade_is_stored_too(trade: Trade) -> None:
    store_reports([fill(trade), fill(trade, executionId="another")], Report.Source.CALLBACK)
    assert Report.objects.filter(trade_id=trade.id).count() == 2


def test_a_report_about_an_unknown_trade_needs_manual_review(db: None) -> None:
    unknown_id = str(uuid4())
    store_reports([{"tradeId": unknown_id, "status": "FILLED"}], Report.Source.CALLBACK)
    report = Report.objects.get(trade_id=unknown_id)
    assert (report.outcome, report.customer_id) == (Outcome.UNKNOWN_TRADE, None)


@pytest.mark.parametrize(
    "body",
    [{}, {"tradeId": None}, {"tradeId": 5}, {"tradeId": ["x"]}, {"tradeId": "\x00"}, {"tradeId": "\ud800"}]
    + [{"tradeId": "x" * 10_000}, {"\ud800": "\x00"}, {"a": 10**1000}],
    ids=lambda body: repr(body)[:20],
)
def test_a_report_without_a_trade_is_stored_too(db: None, body: dict[str, Any]) -> None:
    store_reports([body], Report.Source.CALLBACK)
    report = Report.objects.get()
    assert (json.loads(report.body), report.trade_id, report.outcome) == (body, None, Outcome.UNKNOWN_TRADE)


def test_storing_reports_rings_for_their_customers(trade: Trade, django_capture_on_commit_callbacks: Any) -> None:
    take_rung_customers(lane_of(trade.customer_id))
    with django_capture_on_commit_callbacks(execute=True):
        store_reports([fill(trade), {"tradeId": str(uuid4())}], Report.Source.CALLBACK)
    assert take_rung_customers(lane_of(trade.customer_id)) == [trade.customer_id]


def test_a_repeated_report_does_not_ring(trade: Trade, django_capture_on_commit_callbacks: Any) -> None:
    store_reports([fill(trade)], Report.Source.CALLBACK)
    with django_capture_on_commit_callbacks(execute=True):
        store_reports([fill(trade)], Report.Source.CALLBACK)
    assert take_rung_customers(lane_of(trade.customer_id)) == []


def test_storing_no_reports_runs_no_statement(db: None, django_assert_num_queries: Any) -> None:
    with django_assert_num_queries(0):
        store_reports([], Report.Source.CALLBACK)


def test_many_reports_are_stored_with_one_statement(trade: Trade, django_assert_num_queries: Any) -> None:
    with django_assert_num_queries(1):
        store_reports([fill(trade, executionId=str(n)) for n in range(100)], Report.Source.CALLBACK)
