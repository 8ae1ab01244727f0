"""Cancelling a trade before it is sent."""

from collections.abc import Callable
from uuid import uuid4

import pytest
from django.test import Client

from accounts.models import Balance, Customer, Posting
from tests.people import claim
from trades.cancel import NoSuchTrade, NotCancellable, cancel_trade
from trades.models import Reason, Status, StatusChange, Trade
from trades.place import place_trade


def place(customer: Customer, quantity: int = 1) -> Trade:
    return place_trade(customer.id, "AAPL", "BUY", quantity)[0]


def test_a_cancelled_trade_is_rejected_and_changes_nothing(alice: Customer) -> None:
    postings = Posting.objects.count()
    trade = cancel_trade(alice.id, place(alice).id, by="pages")
    assert (trade.status, trade.reason_code) == (Status.REJECTED, Reason.CANCELLED)
    assert trade.settled_at is not None
    assert [(change.to_status, change.by) for change in StatusChange.objects.filter(trade=trade).order_by("id")] == [
        ("PLACED", "api"),
        ("REJECTED", "pages"),
    ]
    assert Posting.objects.count() == postings
    assert Balance.objects.get(customer=alice).held == 0


def test_the_trades_behind_a_cancelled_trade_continue(alice: Customer) -> None:
    first, second = place(alice), place(alice)
    cancel_trade(alice.id, first.id, by="pages")
    assert claim(alice) == [second]


def test_a_trade_in_flight_cannot_be_cancelled(alice: Customer) -> None:
    trade = place(alice)
    claim(alice)
    with pytest.raises(NotCancellable) as refusal:
        cancel_trade(alice.id, trade.id, by="pages")
    assert refusal.value.trade.status == Status.IN_PROGRESS
    assert Balance.objects.get(customer=alice).held == 1000


def test_a_final_trade_cannot_be_cancelled(alice: Customer) -> None:
    trade = place(alice)
    cancel_trade(alice.id, trade.id, by="pages")
    with pytest.raises(NotCancellable):
        cancel_trade(alice.id, trade.id, by="pages")
    assert StatusChange.objects.filter(trade=trade).count() == 2


def test_a_customer_cannot_cancel_anothers_trade(alice: Customer, bob: Customer) -> None:
    trade = place(alice)
    for trade_id in (trade.id, uuid4()):
        with pytest.raises(NoSuchTrade):
            cancel_trade(bob.id, trade_id, by="pages")
    trade.refresh_from_db()
    assert trade.status == Status.PLACED


def test_cancelling_by_api(alice: Customer, bob: Customer, api_of: Callable[..., Client]) -> None:
    trade = place(alice)
    path = f"/api/v1/trades/{trade.id}/cancel"
    assert api_of(bob).post(path).status_code == 404
    assert api_of(alice, ["read"]).post(path).status_code == 403
    response = api_of(alice).post(path)
    assert (response.status_code, response.json()["status"], response.json()["reasonCode"]) == (
        200,
        "REJECTED",
        "cancelled",
    )
    repeated = api_of(alice).post(path)
    assert (repeated.status_code, repeated.json()["code"]) == (409, "not_cancellable")
