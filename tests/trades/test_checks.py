"""Trading controls: which orders they refuse, and which placed trades they keep waiting."""

from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

import pytest
from django.core.cache import cache
from django.db import IntegrityError, transaction
from django.test import Client

from accounts.models import Customer
from exchange import market, prices
from tests.conftest import StandInExchange
from tests.people import claim, open_account
from trades import checks
from trades.checks import Kind, set_control
from trades.models import Status, StatusChange, Trade, TradingControl
from trades.place import place_trade
from trades.sweep import ring_for_waiting


@pytest.fixture
def sam(db: None) -> Customer:
    """Return a member of staff."""
    return open_account("sam@example.com", Decimal(1), is_staff=True, is_superuser=True)


def place(customer: Customer, ticker: str = "AAPL", quantity: int = 1, key: str | None = None) -> Trade:
    return place_trade(customer.id, ticker, "BUY", quantity, key)[0]


@pytest.mark.parametrize(
    ("kind", "subject"),
    [(Kind.HALT_ALL, {}), (Kind.HALT_TICKER, {"ticker": "aapl"}), (Kind.HALT_CUSTOMER, {"customer": "alice"})],
)
def test_a_halt_refuses_new_trades_and_keeps_placed_ones_waiting(
    alice: Customer, sam: Customer, kind: TradingControl.Kind, subject: dict
) -> None:
    if "customer" in subject:
        subject = {"customer": alice}
    waiting = place(alice, key="before")
    set_control(kind, True, reason="news pending", by=sam, **subject)
    with pytest.raises(checks.TradingHalted):
        place(alice)
    assert place(alice, key="before") == waiting, "a retry returns the first trade as usual"
    assert claim(alice) == []
    waiting.refresh_from_db()
    assert waiting.status == Status.PLACED
    assert Trade.objects.filter(customer=alice, status=Status.PLACED).count() == 1
    set_control(kind, False, reason="news is out", by=sam, **subject)
    assert claim(alice) == [waiting]
    assert [(row.is_on, row.reason, row.by) for row in TradingControl.objects.order_by("id")] == [
        (True, "news pending", sam),
        (False, "news is out", sam),
    ]


def test_a_halt_of_one_stock_or_customer_does_not_stop_others(alice: Customer, bob: Customer, sam: Customer) -> None:
    set_control(Kind.HALT_TICKER, True, reason="-", by=sam, ticker="IBM")
    set_control(Kind.HALT_CUSTOMER, True, reason="-", by=sam, customer=bob)
    assert claim(alice) == []
    trade = place(alice)
    assert claim(alice, bob) == [trade]


def test_a_halted_stock_keeps_the_trades_behind_it_waiting(alice: Customer, sam: Customer) -> None:
    first, second = place(alice, "IBM"), place(alice, "AAPL")
    set_control(Kind.HALT_TICKER, True, reason="-", by=sam, ticker="IBM")
    assert claim(alice) == []
    set_control(Kind.HALT_TICKER, False, reason="-", by=sam, ticker="IBM")
    assert claim(alice) == [first]
    assert second.status == Status.PLACED


def test_the_sweep_does_not_ring_for_halted_customers(
    alice: Customer, bob: Customer, sam: Customer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trades.sweep.RING_AFTER_SECONDS", -5)
    place(alice, "IBM"), place(alice, "AAPL"), place(bob, "AAPL")
    assert ring_for_waiting("test") == 2
    set_control(Kind.HALT_TICKER, True, reason="-", by=sam, ticker="IBM")
    assert ring_for_waiting("test") == 1
    set_control(Kind.HALT_CUSTOMER, True, reason="-", by=sam, customer=bob)
    assert ring_for_waiting("test") == 0
    set_control(Kind.HALT_TICKER, False, reason="-", by=sam, ticker="IBM")
    assert ring_for_waiting("test") == 1
    set_control(Kind.HALT_ALL, True, reason="-", by=sam)
    assert ring_for_waiting("test") == 0


def test_restricted_stocks_and_share_limits_refuse_orders(alice: Customer, bob: Customer, sam: Customer) -> None:
    set_control(Kind.RESTRICT_TICKER, True, reason="-", by=sam, ticker="IBM")
    with pytest.raises(checks.TickerRestricted):
        place(alice, "IBM")
    set_control(Kind.SHARES_MAX, True, reason="-", by=sam, value=Decimal(5))
    set_control(Kind.SHARES_MAX, True, reason="-", by=sam, value=Decimal(7), customer=bob)
    place(alice, quantity=5)
    with pytest.raises(checks.TooManyShares):
        place(alice, quantity=6)
    place(bob, quantity=7)
    with pytest.raises(checks.TooManyShares):
        place(bob, quantity=8)


def test_the_value_of_an_order_can_be_limited(
    alice: Customer, sam: Customer, exchange: StandInExchange, monkeypatch: pytest.MonkeyPatch
) -> None:
    market.refresh()
    prices.refresh()
    price = checks.last_price("AAPL")
    set_control(Kind.NOTIONAL_MAX, True, reason="-", by=sam, value=price * 3)
    place(alice, quantity=2)
    with pytest.raises(checks.TooMuchMoney):
        place(alice, quantity=4)
    monkeypatch.setattr("exchange.gateway.settings.EXCHANGE_URL", "http://127.0.0.1:1")
    place(alice, quantity=2)  # the exchange is unavailable, but its last price is known
    cache.clear()
    prices.forget()
    with pytest.raises(checks.PriceUnknown):
        place(alice, quantity=1)


def test_the_limit_of_orders_per_minute_is_exact_and_leaves_no_gap(alice: Customer, sam: Customer) -> None:
    placed = Trade.objects.filter(customer=alice).count()
    set_control(Kind.ORDERS_A_MINUTE_MAX, True, reason="-", by=sam, value=Decimal(placed + 2))
    first, second = place(alice), place(alice)
    for _ in range(3):
        with pytest.raises(checks.TooManyOrders):
            place(alice)
    set_control(Kind.ORDERS_A_MINUTE_MAX, False, reason="-", by=sam)
    assert place(alice).sequence == second.sequence + 1 == first.sequence + 2
    assert (
        StatusChange.objects.filter(trade__customer=alice).count() == Trade.objects.filter(customer=alice).count() + 2
    )


@pytest.mark.parametrize(
    "terms",
    [
        {"kind": Kind.HALT_TICKER},
        {"kind": Kind.HALT_CUSTOMER},
        {"kind": Kind.HALT_ALL, "ticker": "AAPL"},
        {"kind": Kind.SHARES_MAX},
        {"kind": Kind.HALT_ALL, "value": Decimal(3)},
    ],
)
def test_a_control_with_the_wrong_subject_or_value_cannot_be_set(sam: Customer, terms: dict) -> None:
    with pytest.raises(IntegrityError), transaction.atomic():
        set_control(is_on=True, reason="-", by=sam, **terms)


@pytest.mark.parametrize(
    ("kind", "more", "status", "code"),
    [
        (Kind.HALT_ALL, {}, 409, "trading_halted"),
        (Kind.RESTRICT_TICKER, {"ticker": "AAPL"}, 409, "ticker_restricted"),
        (Kind.SHARES_MAX, {"value": Decimal(1)}, 422, "too_many_shares"),
        (Kind.NOTIONAL_MAX, {"value": Decimal(1)}, 422, "notional_too_large"),
        (Kind.ORDERS_A_MINUTE_MAX, {"value": Decimal(1)}, 429, "too_many_orders"),
    ],
)
@pytest.mark.django_db(transaction=True)
def test_each_check_has_its_code(
    alice: Customer,
    api_of: Callable[..., Client],
    exchange: StandInExchange,
    kind: TradingControl.Kind,
    more: dict,
    status: int,
    code: str,
) -> None:
    market.refresh()
    prices.refresh()
    sam = open_account("sam@example.com", Decimal(1))
    set_control(kind, True, reason="-", by=sam, **more)
    body = {"stockTicker": "AAPL", "type": "BUY", "quantity": 3}
    response = api_of(alice).post("/api/v1/trades", body, content_type="application/json")
    assert (response.status_code, response.json()["code"]) == (status, code)
    assert ("Retry-After" in response.headers) == (status == 429)
    assert Trade.objects.filter(customer=alice).count() == 1


@pytest.fixture
def limits(settings: Any) -> Iterator[Any]:
    """Provide the settings, and clear values cached with them afterwards."""
    yield settings
    checks.forget()


def test_a_full_line_and_a_full_backlog_refuse_new_trades(
    alice: Customer, bob: Customer, exchange: StandInExchange, limits: Any
) -> None:
    limits.OPEN_TRADES_OF_A_CUSTOMER_MAX, limits.OPEN_TRADES_MAX = 2, 2
    checks.forget()
    first = place(alice, key="first")
    place(alice)
    checks.forget()
    assert checks.load() == checks.Load(False, frozenset({alice.id}))
    with pytest.raises(checks.LineTooLong):
        place(alice)
    place(bob)
    checks.forget()
    with pytest.raises(checks.Overloaded):
        place(bob)
    assert place(alice, key="first") == first, "a retry returns the first trade as usual"
    assert Trade.objects.filter(status=Status.PLACED).count() == 3
    claim(alice)  # trades in flight don't count as waiting
    checks.forget()
    place(bob)


def test_customers_with_long_lines_do_not_lock_out_newcomers(
    bob: Customer, exchange: StandInExchange, limits: Any
) -> None:
    """52 customers have as many open trades as allowed, but these wait only for trades of the same customer."""
    limits.OPEN_TRADES_OF_A_CUSTOMER_MAX, limits.OPEN_TRADES_MAX = 10, 500
    crowd = [open_account(f"crowd-{number}@example.com", Decimal(100_000)) for number in range(52)]
    for customer in crowd:
        place(customer)
    assert len(claim(*crowd)) == 52
    for customer in crowd:
        for _ in range(10):
            place(customer)
    checks.forget()
    assert Trade.objects.filter(status=Status.PLACED).count() == 520
    for _ in range(10):
        place(bob)
        checks.forget()
    with pytest.raises(checks.LineTooLong):
        place(bob)


def test_the_load_is_read_once_a_second_however_many_orders_arrive(
    alice: Customer, exchange: StandInExchange, django_assert_num_queries: Any
) -> None:
    checks.forget()
    checks.rules()
    with django_assert_num_queries(1):
        for _ in range(5):
            checks.load()


@pytest.mark.parametrize(
    ("per_customer", "in_total", "status", "code"), [(1, 9, 429, "too_many_open_trades"), (9, 1, 503, "overloaded")]
)
@pytest.mark.django_db(transaction=True)
def test_an_overload_refuses_orders_with_retry_after(
    alice: Customer,
    api_of: Callable[..., Client],
    exchange: StandInExchange,
    limits: Any,
    per_customer: int,
    in_total: int,
    status: int,
    code: str,
) -> None:
    limits.OPEN_TRADES_OF_A_CUSTOMER_MAX, limits.OPEN_TRADES_MAX = per_customer, in_total
    place(alice)
    checks.forget()
    body = {"stockTicker": "AAPL", "type": "BUY", "quantity": 1}
    response = api_of(alice).post("/api/v1/trades", body, content_type="application/json")
    assert (response.status_code, response.json()["code"]) == (status, code)
    assert int(response.headers["Retry-After"]) > 0
    assert Trade.objects.filter(customer=alice, status=Status.PLACED).count() == 1
