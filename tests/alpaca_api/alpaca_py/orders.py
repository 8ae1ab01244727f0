"""Orders: place, find, replace, cancel."""

from typing import Any
from uuid import uuid4

from alpaca.trading.enums import OrderSide, OrderStatus, PositionIntent, TimeInForce
from alpaca.trading.models import Order
from alpaca.trading.requests import (
    CancelOrderResponse,
    GetOrderByIdRequest,
    GetOrdersRequest,
    LimitOrderRequest,
    MarketOrderRequest,
    ReplaceOrderRequest,
)

from tests.alpaca_api.alpaca_py.shim import Shim, case
from tests.people import claim

ORDERS = "trading/trading_client/test_order_routes"
MARKET_ORDERS_ONLY = "only market orders are supported: 422, 40010001"
UNPROCESSABLE, NOT_CANCELABLE, NOT_FOUND = (422, 40010001), (422, 42210000), (404, 40410000)


def terms(**more: Any) -> dict[str, Any]:
    """Return the terms that all of their orders share."""
    return {"symbol": "IBM", "side": OrderSide.BUY, "time_in_force": TimeInForce.DAY, "qty": 1} | more


def place(shim: Shim, **more: Any) -> Order:
    order = shim.client.submit_order(MarketOrderRequest(**terms(**more)))
    assert isinstance(order, Order)
    return order


@case(ORDERS, "test_market_order", "submit_order(MarketOrderRequest)", "the order is `accepted`")
def market_order(shim: Shim) -> None:
    assert place(shim).status == OrderStatus.ACCEPTED


@case(ORDERS, "test_get_orders", "get_orders(symbols)", "a list of `Order`")
def get_orders(shim: Shim) -> None:
    placed = place(shim)
    orders = shim.client.get_orders(GetOrdersRequest(symbols=["IBM", "AAPL"]))
    assert type(orders) is list
    assert [(type(order), order.id) for order in orders] == [(Order, placed.id)]


@case(ORDERS, "test_get_order_by_id", "get_order_by_id(id, nested=False)", "an `Order`")
def get_order_by_id(shim: Shim) -> None:
    placed = place(shim)
    assert shim.client.get_order_by_id(placed.id, GetOrderByIdRequest(nested=False)) == placed
    assert type(placed) is Order


@case(ORDERS, "test_get_order_by_client_id", "get_order_by_client_id(id)", "an `Order`")
def get_order_by_client_id(shim: Shim) -> None:
    client_order_id = str(uuid4())
    placed = place(shim, client_order_id=client_order_id)
    assert shim.client.get_order_by_client_id(client_order_id) == placed
    assert type(placed) is Order


@case(
    ORDERS,
    "test_replace_order",
    "replace_order_by_id(id, qty=1)",
    "an `Order`",
    "a market order can't be replaced: 422, 42210000; cancel it and place another",
)
def replace_order(shim: Shim) -> None:
    placed, replacement = place(shim), ReplaceOrderRequest(qty=1)
    with shim.differs():
        shim.client.replace_order_by_id(placed.id, replacement)
    assert shim.refused(lambda: shim.client.replace_order_by_id(placed.id, replacement)) == NOT_CANCELABLE


@case(
    ORDERS,
    "test_replace_order_validate_replace_request",
    "patch(order, terms)",
    "refused: quantity 0, stop price 0, trail 0",
)
def replace_order_validate_replace_request(shim: Shim) -> None:
    placed = place(shim)
    for changes in ({"qty": 0}, {"qty": 0, "limit_price": 0.1}, {"stop_price": 0}, {"trail": 0}):
        status, _ = shim.refused(lambda changes=changes: shim.client.patch(f"/orders/{placed.id}", changes))  # type: ignore[misc]
        assert status == 422
    assert shim.client.get_order_by_id(placed.id) == placed


@case(ORDERS, "test_cancel_order_by_id", "cancel_order_by_id(id)", "nothing is raised")
def cancel_order_by_id(shim: Shim) -> None:
    placed = place(shim)
    shim.client.cancel_order_by_id(placed.id)
    assert len(shim.requests) == 2
    cancelled = shim.client.get_order_by_id(placed.id)
    assert isinstance(cancelled, Order)
    assert cancelled.status == OrderStatus.CANCELED


@case(
    ORDERS,
    "test_cancel_order_throws_uncancelable_error",
    "cancel_order_by_id(id)",
    "`APIError` for an order that can no longer be cancelled",
)
def cancel_order_throws_uncancelable_error(shim: Shim) -> None:
    placed = place(shim)
    claim(shim.customer)
    assert shim.refused(lambda: shim.client.cancel_order_by_id(placed.id)) == NOT_CANCELABLE
    assert len(shim.requests) == 2


@case(
    ORDERS,
    "test_cancel_order_throws_not_found_error",
    "cancel_order_by_id(id)",
    "`APIError` for an order that does not exist",
)
def cancel_order_throws_not_found_error(shim: Shim) -> None:
    assert shim.refused(lambda: shim.client.cancel_order_by_id(uuid4())) == NOT_FOUND
    assert len(shim.requests) == 1


@case(
    ORDERS,
    "test_cancel_orders",
    "cancel_orders()",
    "a list of `CancelOrderResponse`: 200 for an order that is cancelled; an error code and message for another, "
    "which no longer exists (404)",
    "the other order exists and was sent to the exchange: 422, 42210000",
)
def cancel_orders(shim: Shim) -> None:
    sent, unsent = place(shim), place(shim)
    claim(shim.customer)
    responses = shim.client.cancel_orders()
    assert type(responses) is list
    assert {type(response) for response in responses} == {CancelOrderResponse}
    response_of = {response.id: response for response in responses}
    assert response_of.keys() == {sent.id, unsent.id}
    assert response_of[unsent.id].status == 200
    other = response_of[sent.id]
    assert other.body is not None
    with shim.differs():
        assert (other.status, other.body["code"]) == NOT_FOUND
    assert (other.status, other.body["code"]) == NOT_CANCELABLE
    assert other.body["message"] == "order is not cancelable"


@case(
    ORDERS,
    "test_limit_order",
    "submit_order(LimitOrderRequest)",
    "the order is `accepted`",
    MARKET_ORDERS_ONLY,
)
def limit_order(shim: Shim) -> None:
    request = LimitOrderRequest(**terms(limit_price=300))
    with shim.differs():
        shim.client.submit_order(request)
    assert shim.refused(lambda: shim.client.submit_order(request)) == UNPROCESSABLE
    assert shim.client.get_orders() == []


@case(
    ORDERS,
    "test_limit_order_request_validation",
    'post("/orders", terms)',
    "refused: a limit order without its price, alone or with a take-profit or a stop-loss",
)
def limit_order_request_validation(shim: Shim) -> None:
    take_profit, stop_loss = {"limit_price": 100}, {"stop_price": 300}
    for more in (
        {},
        {"order_class": "simple"},
        {"order_class": "oto", "take_profit": take_profit},
        {"order_class": "oto", "stop_loss": stop_loss},
        {"order_class": "bracket", "take_profit": take_profit, "stop_loss": stop_loss},
    ):
        refuse_unchecked(shim, type="limit", side="sell", **more)


@case(
    ORDERS,
    "test_order_position_intent",
    "submit_order(position_intent)",
    "a market order that buys to open is `accepted`, and so is a limit order that sells to open",
    f"the market order is accepted; the limit order is refused: {MARKET_ORDERS_ONLY}, and there are no short positions",
)
def order_position_intent(shim: Shim) -> None:
    placed = place(shim, position_intent=PositionIntent.BUY_TO_OPEN)
    assert (placed.status, placed.position_intent) == (OrderStatus.ACCEPTED, PositionIntent.BUY_TO_OPEN)
    request = LimitOrderRequest(**terms(limit_price=300, position_intent=PositionIntent.SELL_TO_OPEN))
    with shim.differs():
        shim.client.submit_order(request)
    assert shim.refused(lambda: shim.client.submit_order(request)) == UNPROCESSABLE


@case(
    ORDERS,
    "test_mleg_request_validation",
    'post("/orders", terms)',
    "refused: class `mleg` with one leg, too many legs, none, or the same leg twice; legs in any other class",
)
def mleg_request_validation(shim: Shim) -> None:
    def legs(*symbols: str) -> list[dict[str, Any]]:
        return [{"symbol": symbol, "ratio_qty": 1, "side": "buy"} for symbol in symbols]

    puts = [f"AAPL250117P00{price}000" for price in (200, 250, 300, 350, 400)]
    for invalid_legs in (legs(puts[0]), legs(*puts), legs(), legs(puts[0], puts[0]), None):
        refuse_unchecked(shim, order_class="mleg", legs=invalid_legs)
    refuse_unchecked(shim, legs=legs(puts[0]))


def refuse_unchecked(shim: Shim, **more: Any) -> None:
    """Send terms that the client itself would refuse: this server refuses them too, and stores no order."""
    order = {"symbol": "AAPL", "qty": 1, "side": "buy", "type": "market", "time_in_force": "day"} | more
    assert shim.refused(lambda: shim.client.post("/orders", order)) == UNPROCESSABLE, order
    assert shim.client.get_orders() == []
