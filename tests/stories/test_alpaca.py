"""The unmodified alpaca-py client works against running processes, over real HTTP."""

import asyncio
import threading
import time
import warnings
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

from local.harness import Brokerage

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from alpaca.common.exceptions import APIError
    from alpaca.trading.client import TradingClient
    from alpaca.trading.enums import OrderSide, OrderStatus, QueryOrderStatus, TimeInForce
    from alpaca.trading.requests import (
        ClosePositionRequest,
        CreateWatchlistRequest,
        GetAssetsRequest,
        GetCalendarRequest,
        GetOrdersRequest,
        GetPortfolioHistoryRequest,
        LimitOrderRequest,
        MarketOrderRequest,
        ReplaceOrderRequest,
        UpdateWatchlistRequest,
    )
    from alpaca.trading.stream import TradingStream

pytestmark = [
    pytest.mark.story,
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning"),
]
Account = Callable[..., dict[str, Any]]


@pytest.fixture
def client(brokerage: Brokerage, account: Account) -> TradingClient:
    credentials = account(f"{uuid4()}@example.com")
    return TradingClient(credentials["keyId"], credentials["secretKey"], url_override=f"{brokerage.url}/alpaca")


def buy(symbol: str, qty: float, **more: Any) -> MarketOrderRequest:
    return MarketOrderRequest(symbol=symbol, qty=qty, side=OrderSide.BUY, time_in_force=TimeInForce.DAY, **more)


def sell(symbol: str, qty: float, **more: Any) -> MarketOrderRequest:
    return MarketOrderRequest(symbol=symbol, qty=qty, side=OrderSide.SELL, time_in_force=TimeInForce.GTC, **more)


def wait_until_final(client: TradingClient, order: Any) -> Any:
    """Wait until the order is final, and return it."""
    for _ in range(200):
        order = client.get_order_by_id(order.id)
        if order.status not in (OrderStatus.ACCEPTED, OrderStatus.NEW):
            return order
        time.sleep(0.05)
    raise AssertionError(f"{order.id} is still {order.status}")


def refused(work: Callable[[], Any]) -> tuple[int, int]:
    """Return the status and code of the error that the client's call raises."""
    with pytest.raises(APIError) as error:
        work()
    return error.value.status_code, error.value.code


def test_orders_positions_and_account(client: TradingClient) -> None:
    client_order_id = str(uuid4())
    order = client.submit_order(buy("AAPL", 10, client_order_id=client_order_id))
    assert order.status == OrderStatus.ACCEPTED
    assert client.submit_order(buy("AAPL", 10, client_order_id=client_order_id)).id == order.id, (
        "a repeated call must return the first order"
    )
    filled = wait_until_final(client, order)
    assert (filled.status, filled.filled_qty, filled.client_order_id) == (OrderStatus.FILLED, "10", client_order_id)
    assert client.get_order_by_client_id(client_order_id).id == order.id
    assert refused(lambda: client.submit_order(buy("AAPL", 11, client_order_id=client_order_id))) == (422, 40010001)

    account = client.get_account()
    cost = float(filled.filled_avg_price) * 10
    assert float(account.cash) == pytest.approx(100_000 - cost)
    assert account.status.value == "ACTIVE"
    (position,) = client.get_all_positions()
    assert (position.symbol, position.qty, float(position.cost_basis)) == ("AAPL", "10", pytest.approx(cost))
    assert client.get_open_position("AAPL").asset_id == position.asset_id
    assert client.get_open_position(position.asset_id).symbol == "AAPL"
    assert refused(lambda: client.get_open_position("IBM")) == (404, 40410000)

    assert wait_until_final(client, client.submit_order(sell("AAPL", 2))).status == OrderStatus.FILLED
    assert wait_until_final(client, client.close_position("AAPL", ClosePositionRequest(qty="3"))).filled_qty == "3"
    assert (
        wait_until_final(client, client.close_position("AAPL", ClosePositionRequest(percentage="40"))).filled_qty == "2"
    )
    wait_until_final(client, client.submit_order(buy("IBM", 1)))
    closed = client.close_all_positions(cancel_orders=True)
    assert sorted(closing.symbol for closing in closed) == ["AAPL", "IBM"]
    for closing in closed:
        wait_until_final(client, closing.body)
    assert client.get_all_positions() == []

    assert [order.id for order in client.get_orders()] == [], "by default only open orders"
    everything = client.get_orders(GetOrdersRequest(status=QueryOrderStatus.ALL, nested=True))
    assert len(everything) == 7
    assert [
        order.symbol for order in client.get_orders(GetOrdersRequest(status=QueryOrderStatus.CLOSED, symbols=["IBM"]))
    ] == [
        "IBM",
        "IBM",
    ]
    buys = client.get_orders(GetOrdersRequest(status=QueryOrderStatus.ALL, side=OrderSide.BUY, limit=1))
    assert [(order.symbol, order.side) for order in buys] == [("IBM", OrderSide.BUY)]
    oldest = everything[-1]
    later = client.get_orders(GetOrdersRequest(status=QueryOrderStatus.ALL, after=oldest.submitted_at))
    assert [order.id for order in later] == [order.id for order in everything[:-1]]
    earlier = client.get_orders(
        GetOrdersRequest(status=QueryOrderStatus.ALL, until=everything[0].submitted_at, direction="asc")
    )
    assert [order.id for order in earlier] == [order.id for order in reversed(everything[1:])]

    fills = client.get("/account/activities/FILL", {"page_size": 2})
    more = client.get("/account/activities/FILL", {"page_token": fills[-1]["id"]})
    assert [len(fills), len(more)] == [2, 5]
    assert {activity["activity_type"] for activity in client.get("/account/activities")} == {"FILL", "FEE", "CSD"}
    history = client.get_portfolio_history(GetPortfolioHistoryRequest(period="1D", timeframe="1H"))
    assert history.equity[-1] == pytest.approx(float(client.get_account().equity))
    assert len(history.timestamp) == len(history.equity) == len(history.profit_loss)
    assert client.get_portfolio_history().timeframe == "1D"


def test_unsupported_calls_are_refused_with_a_reason(client: TradingClient) -> None:
    assert refused(lambda: client.submit_order(buy("AAPL", 1.5))) == (422, 40010001)
    notional = MarketOrderRequest(symbol="AAPL", notional=100, side=OrderSide.BUY, time_in_force=TimeInForce.DAY)
    assert refused(lambda: client.submit_order(notional)) == (422, 40010001)
    limit = LimitOrderRequest(
        symbol="AAPL", qty=1, limit_price=1, side=OrderSide.BUY, time_in_force=TimeInForce.DAY, extended_hours=True
    )
    assert refused(lambda: client.submit_order(limit)) == (422, 40010001)
    assert refused(lambda: client.submit_order(buy("NOSUCH", 1))) == (422, 40010001)
    assert refused(lambda: client.submit_order(buy("AAPL", 999_999))) == (403, 40310000)
    assert refused(lambda: client.submit_order(sell("AAPL", 1))) == (403, 40310000)
    assert refused(lambda: client.get_order_by_id(uuid4())) == (404, 40410000)
    assert refused(lambda: client.get_order_by_client_id("none")) == (404, 40410000)
    assert refused(lambda: client.close_position("AAPL")) == (404, 40410000)
    assert refused(lambda: client.get_asset("NOSUCH")) == (404, 40410000)
    assert refused(lambda: client.get("/nothing")) == (404, 40410000)
    order = client.submit_order(buy("AAPL", 1))
    assert refused(lambda: client.replace_order_by_id(order.id, ReplaceOrderRequest(qty=2))) == (422, 42210000)
    wait_until_final(client, order)
    assert refused(lambda: client.cancel_order_by_id(order.id)) == (422, 42210000)
    assert len(client.get_orders(GetOrdersRequest(status=QueryOrderStatus.ALL))) == 1, "a refused call left an order"
    stranger = TradingClient("BKnobody", "wrong", url_override=client._base_url)
    assert refused(stranger.get_account) == (401, 40110000)


def test_cancelling_orders(client: TradingClient) -> None:
    orders = [client.submit_order(buy("AAPL", 1)) for _ in range(6)]
    statuses = {str(cancellation.id): cancellation.status for cancellation in client.cancel_orders()}
    finals = [wait_until_final(client, order) for order in orders]
    for order in finals:
        if statuses.get(str(order.id)) == 200:
            assert order.status == OrderStatus.CANCELED
            assert order.canceled_at is not None
        else:
            assert order.status == OrderStatus.FILLED
    assert OrderStatus.CANCELED in {order.status for order in finals}
    waiting = [client.submit_order(buy("AAPL", 1)) for _ in range(3)][-1]
    client.cancel_order_by_id(waiting.id)
    assert wait_until_final(client, waiting).status == OrderStatus.CANCELED


def test_clock_calendar_and_assets(client: TradingClient) -> None:
    clock = client.get_clock()
    assert clock.is_open
    assert clock.next_close > clock.timestamp - timedelta(days=1)
    days = client.get_calendar(GetCalendarRequest(start="2026-11-23", end="2026-11-30"))
    assert [(day.date.day, day.close.hour) for day in days] == [(23, 16), (24, 16), (25, 16), (27, 13), (30, 16)]
    assert len(client.get_calendar()) > 240
    assets = client.get_all_assets(GetAssetsRequest(status="active"))
    assert len(assets) > 100
    asset = client.get_asset("AAPL")
    assert client.get_asset(asset.id) == asset
    assert asset.tradable
    assert not asset.fractionable


def test_configurations_and_watchlists(client: TradingClient) -> None:
    settings = client.get_account_configurations()
    assert not settings.suspend_trade
    settings.suspend_trade = True
    assert client.set_account_configurations(settings).suspend_trade
    assert refused(lambda: client.submit_order(buy("AAPL", 1))) == (403, 40310000)
    settings.suspend_trade = False
    client.set_account_configurations(settings)
    assert wait_until_final(client, client.submit_order(buy("AAPL", 1))).status == OrderStatus.FILLED
    settings.fractional_trading = True
    assert refused(lambda: client.set_account_configurations(settings)) == (422, 40010001)

    created = client.create_watchlist(CreateWatchlistRequest(name="tech", symbols=["AAPL", "IBM"]))
    assert [asset.symbol for asset in created.assets] == ["AAPL", "IBM"]
    assert refused(lambda: client.create_watchlist(CreateWatchlistRequest(name="tech", symbols=[]))) == (422, 40010001)
    added = client.add_asset_to_watchlist_by_id(created.id, "MSFT")
    assert [asset.symbol for asset in added.assets] == ["AAPL", "IBM", "MSFT"]
    fewer = client.remove_asset_from_watchlist_by_id(created.id, "IBM")
    assert [asset.symbol for asset in fewer.assets] == ["AAPL", "MSFT"]
    renamed = client.update_watchlist_by_id(created.id, UpdateWatchlistRequest(name="big", symbols=["IBM"]))
    assert (renamed.name, [asset.symbol for asset in renamed.assets]) == ("big", ["IBM"])
    assert client.get_watchlist_by_id(created.id).name == "big"
    assert [watchlist.name for watchlist in client.get_watchlists()] == ["big"]
    client.delete_watchlist_by_id(created.id)
    assert client.get_watchlists() == []


def test_the_stream_of_trade_updates(brokerage: Brokerage, account: Account) -> None:
    credentials = account(f"{uuid4()}@example.com")
    client = TradingClient(credentials["keyId"], credentials["secretKey"], url_override=f"{brokerage.url}/alpaca")
    address = f"ws://127.0.0.1:{brokerage.stream_port}/alpaca/stream"
    stream = TradingStream(credentials["keyId"], credentials["secretKey"], url_override=address)
    updates: list[Any] = []

    async def record_update(update: Any) -> None:
        updates.append(update)

    stream.subscribe_trade_updates(record_update)
    thread = threading.Thread(target=stream.run, daemon=True)
    thread.start()
    deadline = time.monotonic() + 20
    while not stream._running and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(0.5)
    orders = [client.submit_order(buy("AAPL", 2)) for _ in range(3)]
    for order in orders:
        wait_until_final(client, order)
    while len(updates) < 9 and time.monotonic() < deadline:
        time.sleep(0.05)
    stream.stop()
    thread.join(15)
    for order in orders:
        updates_of_order = [update for update in updates if update.order.id == order.id]
        assert [update.event for update in updates_of_order] == ["accepted", "new", "fill"]
        assert updates_of_order[-1].qty == 2
        assert updates_of_order[-1].order.status == OrderStatus.FILLED
    assert [update.position_qty for update in updates if update.event == "fill"] == [2, 4, 6]
    assert datetime.now(UTC) - updates[0].timestamp < timedelta(minutes=1)
    assert asyncio.iscoroutinefunction(record_update)
