"""Adjustments of shares: two members of staff approve them, they post as usual, and they never take held shares."""

import threading
from decimal import Decimal

import pytest
from django.db import connection
from django.test import Client

from accounts import tokens
from accounts.account import InsufficientShares
from accounts.adjustments import (
    LARGEST_POSITION,
    DecidedAlready,
    OwnAdjustment,
    PositionTooLarge,
    ask_for_adjustment,
    decide_on_adjustment,
)
from accounts.audit import BOOKS, examine
from accounts.customers import create_customer
from accounts.models import Adjustment, Balance, Customer, Position, Posting
from tests.people import claim, open_account, receive_shares
from trades.audit import audit_books
from trades.models import Type
from trades.place import place_trade


@pytest.fixture
def second(db: None) -> Customer:
    return create_customer("second@staff.example.com", None)


def request_adjustment(
    customer: Customer, change: str, by: Customer, ticker: str = "AAPL", price: str | None = None
) -> Adjustment:
    return ask_for_adjustment(
        customer.id,
        Decimal(change),
        "dividend",
        "A split.",
        by,
        ticker=ticker,
        price=None if price is None else Decimal(price),
    )


def position(customer: Customer, ticker: str = "AAPL") -> tuple[int, int, Decimal]:
    row = Position.objects.get(customer=customer, ticker=ticker)
    return row.quantity, row.held, row.average_price


def test_shares_are_added_at_a_price(alice: Customer, bob: Customer, second: Customer) -> None:
    cash = Balance.objects.get(customer=alice).amount
    adjustment = request_adjustment(alice, "5", bob, price="40")
    assert (position(alice), adjustment.summary) == ((10, 0, Decimal(100)), "+5 AAPL at 40.0000 USD")
    with pytest.raises(OwnAdjustment):
        decide_on_adjustment(adjustment.id, True, bob)
    with pytest.raises(OwnAdjustment):
        decide_on_adjustment(adjustment.id, True, alice)
    decide_on_adjustment(adjustment.id, True, second)
    with pytest.raises(DecidedAlready):
        decide_on_adjustment(adjustment.id, True, second)
    assert position(alice) == (15, 0, Decimal(80))
    posting = Posting.objects.get(cause=adjustment.id)
    assert (posting.ticker, posting.kind, posting.change, posting.total, posting.price) == (
        "AAPL", "adjustment", 5, 15, Decimal(40),
    )  # fmt: skip
    assert Balance.objects.get(customer=alice).amount == cash
    assert examine(BOOKS).ok


def test_shares_of_a_stock_that_was_never_held(alice: Customer, bob: Customer, second: Customer) -> None:
    decide_on_adjustment(request_adjustment(alice, "3", bob, "IBM", "0").id, True, second)
    assert position(alice, "IBM") == (3, 0, Decimal(0))
    assert examine(BOOKS).ok


def test_removing_shares_keeps_their_average_price(alice: Customer, bob: Customer, second: Customer) -> None:
    decide_on_adjustment(request_adjustment(alice, "-4", bob).id, True, second)
    assert position(alice) == (6, 0, Decimal(100))
    decide_on_adjustment(request_adjustment(alice, "-6", bob).id, True, second)
    assert position(alice) == (0, 0, Decimal(0))
    assert examine(BOOKS).ok


@pytest.mark.parametrize(("change", "ticker"), [("-11", "AAPL"), ("-1", "IBM"), ("-8", "AAPL")])
def test_an_adjustment_removes_no_more_shares_than_are_available(
    alice: Customer, bob: Customer, second: Customer, change: str, ticker: str
) -> None:
    if change == "-8":  # three of the ten shares are held for a SELL in flight
        place_trade(alice.id, "AAPL", Type.SELL, 3)
        claim(alice)
    before = position(alice), Posting.objects.count()
    adjustment = request_adjustment(alice, change, bob, ticker)
    with pytest.raises(InsufficientShares):
        decide_on_adjustment(adjustment.id, True, second)
    adjustment.refresh_from_db()
    assert adjustment.approved is None
    assert (position(alice), Posting.objects.count()) == before
    assert not Position.objects.filter(quantity__lt=0).exists()
    assert decide_on_adjustment(adjustment.id, False, second).approved is False
    assert (position(alice), Posting.objects.count()) == before


def test_an_adjustment_cannot_exceed_the_largest_balance(alice: Customer, bob: Customer, second: Customer) -> None:
    adjustment = request_adjustment(alice, str(LARGEST_POSITION), bob, price="0.0001")
    with pytest.raises(PositionTooLarge):
        decide_on_adjustment(adjustment.id, True, second)
    assert position(alice)[0] == 10


def test_the_alpaca_api_shows_adjustments_as_journals(alice: Customer, bob: Customer, second: Customer) -> None:
    cash = ask_for_adjustment(alice.id, Decimal("-7.5"), "fee", "A fee.", bob)
    for adjustment in (cash, request_adjustment(alice, "5", bob, price="40"), request_adjustment(alice, "-1", bob)):
        decide_on_adjustment(adjustment.id, True, second)
    issued = tokens.issue(alice, "program")
    headers = {"APCA-API-KEY-ID": issued.key_id, "APCA-API-SECRET-KEY": issued.secret_key}

    def activities(types: str) -> list[tuple]:
        query = f"?activity_types={types}" if types else ""
        page = Client(headers=headers).get(f"/alpaca/v2/account/activities{query}").json()
        return [
            (activity["activity_type"], activity.get("symbol"), activity.get("qty"), activity.get("net_amount"))
            for activity in page
        ]

    assert activities("JNLC") == [("JNLC", None, None, "-7.5")]
    assert activities("JNLS") == [("JNLS", "AAPL", "-1", "0"), ("JNLS", "AAPL", "5", "0")]
    assert [kind for kind, *_ in activities("")] == ["JNLS", "JNLS", "JNLC", "FILL", "CSD"]
    assert [kind for kind, *_ in activities("TRANS,FILL")] == ["FILL", "CSD"]
    assert activities("CSW") == []


@pytest.mark.django_db(transaction=True)
def test_simultaneous_approvals_post_once_and_never_go_negative() -> None:
    alice = open_account("alice@example.com", Decimal(2000))
    bob = open_account("bob@example.com", Decimal(1))
    receive_shares(alice, "AAPL", 10, Decimal(100))
    approvers = [create_customer(f"s{n}@staff.example.com", None) for n in range(4)]
    adjustments = [request_adjustment(alice, "-6", bob), request_adjustment(alice, "-6", bob)]
    barrier, outcomes = threading.Barrier(4), []

    def approve(number: int) -> None:
        barrier.wait()
        try:
            decide_on_adjustment(adjustments[number % 2].id, True, approvers[number])
            outcomes.append("done")
        except (DecidedAlready, InsufficientShares) as error:
            outcomes.append(type(error).__name__)
        finally:
            connection.close()

    threads = [threading.Thread(target=approve, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert outcomes.count("done") == 1
    assert position(alice)[:2] == (4, 0)
    assert Posting.objects.filter(kind="adjustment").count() == 1
    assert audit_books().findings.ok
