"""Trading controls as customers see them: on pages and on the refused ticket."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest
from django.test import Client

from accounts.models import Customer
from exchange import prices
from tests.conftest import StandInExchange
from tests.people import open_account
from trades import checks
from trades.checks import Kind, set_control
from trades.halts import halt_of
from trades.models import Status, Trade, TradingControl
from trades.place import place_trade

PageOf = Callable[[Customer], Client]
EVERYWHERE = ("/", "/trades", "/stocks/AAPL", "/stocks/IBM", "/stocks/AAPL/trade")
OF_AAPL = ("/stocks/AAPL", "/stocks/AAPL/trade")
BANNER = 'class="notice warn" role="status"'


@pytest.fixture
def sam(db: None) -> Customer:
    """Return a member of staff."""
    return open_account("sam@example.com", Decimal(1), is_staff=True)


@pytest.mark.parametrize(
    ("kind", "ticker", "is_bobs", "sentence", "shown_on"),
    [
        (Kind.HALT_ALL, "", False, "Trading is halted.", EVERYWHERE),
        (Kind.HALT_CUSTOMER, "", True, "Your trading is frozen.", EVERYWHERE),
        (Kind.HALT_TICKER, "AAPL", False, "Trading in AAPL is halted.", OF_AAPL),
        (Kind.RESTRICT_TICKER, "AAPL", False, "AAPL cannot be traded here.", OF_AAPL),
    ],
)
def test_a_halt_is_shown_on_pages_and_on_the_ticket(
    kind: TradingControl.Kind,
    ticker: str,
    is_bobs: bool,
    sentence: str,
    shown_on: tuple[str, ...],
    exchange_with_stocks: StandInExchange,
    bob: Customer,
    sam: Customer,
    page_of: PageOf,
) -> None:
    client = page_of(bob)
    review = client.get("/stocks/AAPL/trade?type=BUY&quantity=1")
    for path in EVERYWHERE:
        assert BANNER not in client.get(path).content.decode(), path
    set_control(kind, True, reason="news pending", by=sam, ticker=ticker, customer=bob if is_bobs else None)
    for path in EVERYWHERE:
        text = client.get(path).content.decode()
        assert (sentence in text) == (BANNER in text) == (path in shown_on), path
        assert "news pending" not in text, "the reason is for staff only"
    form = {"type": "BUY", "quantity": "1", "key": str(review.context["key"])}
    for response in (
        client.get("/stocks/AAPL/trade?type=BUY&quantity=1"),
        client.post("/stocks/AAPL/place", form),
    ):
        assert response.status_code == 422
        text = response.content.decode()
        assert sentence in text.split('class="notice error"')[1].split("</div>")[0]
        assert text.count(sentence) == 1, "the sentence is shown once"
    assert not Trade.objects.filter(customer=bob).exists()
    set_control(kind, False, reason="news is out", by=sam, ticker=ticker, customer=bob if is_bobs else None)
    assert client.post("/stocks/AAPL/place", form).status_code == 302


def test_a_customer_does_not_see_anothers_halt(
    exchange_with_stocks: StandInExchange, alice: Customer, bob: Customer, sam: Customer, page_of: PageOf
) -> None:
    set_control(Kind.HALT_CUSTOMER, True, reason="-", by=sam, customer=alice)
    client = page_of(bob)
    for path in EVERYWHERE:
        assert BANNER not in client.get(path).content.decode(), path


def test_a_trades_page_shows_a_halt_only_while_the_trade_waits(
    exchange_with_stocks: StandInExchange, alice: Customer, sam: Customer, page_of: PageOf
) -> None:
    final = Trade.objects.get(customer=alice)
    waiting, _ = place_trade(alice.id, "AAPL", "BUY", 1)
    set_control(Kind.HALT_TICKER, True, reason="-", by=sam, ticker="AAPL")
    assert "Trading in AAPL is halted." in page_of(alice).get(f"/trades/{waiting.id}").content.decode()
    assert BANNER not in page_of(alice).get(f"/trades/{final.id}").content.decode()


@pytest.mark.parametrize(
    ("kind", "value", "sentence"),
    [
        (Kind.SHARES_MAX, 2, "One trade can be for 2 shares at most."),
        (Kind.NOTIONAL_MAX, 1, "One trade can be worth $1.00 at most."),
    ],
)
def test_an_exceeded_limit_is_explained_beside_the_field(
    kind: TradingControl.Kind,
    value: int,
    sentence: str,
    exchange_with_stocks: StandInExchange,
    alice: Customer,
    sam: Customer,
    page_of: PageOf,
) -> None:
    client = page_of(alice)
    set_control(kind, True, reason="-", by=sam, value=Decimal(value))
    for response in (
        client.get("/stocks/AAPL/trade?type=BUY&quantity=3"),
        client.post("/stocks/AAPL/place", {"type": "BUY", "quantity": "3", "key": str(uuid4())}),
    ):
        assert response.status_code == 422
        assert sentence in response.content.decode().split('id="id_quantity_error"')[1].split("</p>")[0]
    assert Trade.objects.filter(customer=alice).count() == 1


def test_too_many_orders_and_a_missing_price_are_explained(
    exchange_with_stocks: StandInExchange, alice: Customer, sam: Customer, page_of: PageOf
) -> None:
    client = page_of(alice)
    set_control(Kind.ORDERS_A_MINUTE_MAX, True, reason="-", by=sam, value=Decimal(1))
    response = client.post("/stocks/AAPL/place", {"type": "BUY", "quantity": "1", "key": str(uuid4())})
    assert response.status_code == 422
    assert "your limit is 1 per minute" in response.content.decode()
    set_control(Kind.NOTIONAL_MAX, True, reason="-", by=sam, value=Decimal(1000))
    exchange_with_stocks.faults(down=True)
    checks.forget()
    prices.forget()
    response = client.get("/stocks/AAPL/trade?type=BUY&quantity=1")
    assert response.status_code == 422
    assert "There is no price right now" in response.content.decode()


@pytest.mark.parametrize(
    ("setting", "sentence"),
    [
        ("OPEN_TRADES_OF_A_CUSTOMER_MAX", "You have too many open trades."),
        ("OPEN_TRADES_MAX", "We are receiving more trades than we can take."),
    ],
)
def test_overload_is_explained_on_the_page(
    exchange_with_stocks: StandInExchange, alice: Customer, page_of: PageOf, settings: Any, setting: str, sentence: str
) -> None:
    setattr(settings, setting, 1)
    client = page_of(alice)
    place_trade(alice.id, "AAPL", "BUY", 1)
    checks.forget()
    response = client.post("/stocks/AAPL/place", {"type": "BUY", "quantity": "1", "key": str(uuid4())})
    assert (response.status_code, sentence in response.content.decode()) == (422, True)
    assert Trade.objects.filter(customer=alice, status=Status.PLACED).count() == 1
    checks.forget()


def test_looking_up_halts_again_and_again_costs_one_query(
    exchange_with_stocks: StandInExchange, bob: Customer, page_of: PageOf, django_assert_num_queries: Callable
) -> None:
    checks.forget()
    with django_assert_num_queries(1):
        assert halt_of(bob.id, "AAPL") is None
        assert halt_of(bob.id) is None
