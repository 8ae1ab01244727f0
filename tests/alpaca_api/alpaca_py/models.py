"""Requests that the client itself would refuse, sent without its checks, and the events of the stream."""

from typing import Any

import pytest
from alpaca.common.exceptions import APIError
from alpaca.trading.enums import TradeEvent
from alpaca.trading.models import TradeUpdate

from alpaca_api.serializers import STATUSES
from alpaca_api.socket import EVENTS
from tests.alpaca_api.alpaca_py.orders import place, refuse_unchecked
from tests.alpaca_api.alpaca_py.shim import Shim, case
from trades.models import Status

MODELS = "trading/test_trading_models"
POST = 'post("/orders", terms)'
LEG = {"symbol": "AAPL250117P00200000", "ratio_qty": 1, "side": "buy"}
TAKE_PROFIT, STOP_LOSS = {"limit_price": 110}, {"stop_price": 90}


def refuse_each(shim: Shim, *orders: dict[str, Any]) -> None:
    for order in orders:
        refuse_unchecked(shim, **order)


@case(MODELS, "test_has_qty_or_notional_but_not_both", POST, "refused: quantity and notional; neither")
def has_qty_or_notional_but_not_both(shim: Shim) -> None:
    refuse_each(shim, {"notional": 5}, {"qty": None})


@case(
    MODELS,
    "test_notional_works",
    POST,
    "a market and a limit order can be for a notional",
    "only market orders for whole shares are supported: 422, 40010001",
)
def notional_works(shim: Shim) -> None:
    market = {"symbol": "AAPL", "side": "buy", "type": "market", "time_in_force": "day", "notional": 5}
    for order in (market, market | {"type": "limit", "limit_price": 5}):
        with shim.differs():
            shim.client.post("/orders", order)
    refuse_each(shim, {"qty": None, "notional": 5}, {"qty": None, "notional": 5, "type": "limit", "limit_price": 5})


@case(MODELS, "test_trailing_stop_order_type", POST, "refused: a trailing stop without a trail; with two")
def trailing_stop_order_type(shim: Shim) -> None:
    refuse_each(shim, {"type": "trailing_stop"}, {"type": "trailing_stop", "trail_percent": 2, "trail_price": 5})


@case(
    MODELS,
    "test_order_requests_reject_incompatible_price_fields",
    POST,
    "refused: a price that orders of this type do not have",
    "a stop-limit order, which has both prices, is refused like every order that is not a market order: 422, 40010001",
)
def order_requests_reject_incompatible_price_fields(shim: Shim) -> None:
    limit, stop = {"limit_price": 100}, {"stop_price": 95}
    refuse_each(
        shim,
        limit,
        stop,
        {"trail_price": 1},
        {"trail_percent": 1},
        {"type": "limit", **limit, **stop},
        {"type": "limit", **limit, "trail_percent": 1},
        {"type": "stop", **limit, **stop},
        {"type": "stop", **stop, "trail_price": 1},
        {"type": "trailing_stop", "trail_price": 1, **limit},
        {"type": "trailing_stop", "trail_price": 1, **stop},
        {"type": "stop_limit", **limit, **stop, "trail_price": 1},
    )
    stop_limit_order = {
        "symbol": "AAPL",
        "qty": 1,
        "side": "buy",
        "type": "stop_limit",
        "time_in_force": "day",
        **limit,
        **stop,
    }
    with shim.differs():
        shim.client.post("/orders", stop_limit_order)


@case(
    MODELS,
    "test_advanced_order_classes_require_exit_legs",
    POST,
    "refused: `bracket`, `oco` and `oto` without the exits that they need; an `oto` with one is accepted",
    "an `oto` is refused even with its exit, like every order with more than one leg: 422, 40010001",
)
def advanced_order_classes_require_exit_legs(shim: Shim) -> None:
    refuse_each(
        shim,
        {"order_class": "bracket"},
        {"order_class": "bracket", "take_profit": TAKE_PROFIT},
        {"order_class": "oco", "type": "limit", "stop_loss": STOP_LOSS},
        {"order_class": "oco", "type": "limit", "take_profit": TAKE_PROFIT},
        {"order_class": "oto"},
    )
    order = {"symbol": "AAPL", "qty": 1, "side": "buy", "type": "market", "time_in_force": "day"}
    with shim.differs():
        shim.client.post("/orders", order | {"order_class": "oto", "take_profit": TAKE_PROFIT})


@case(
    MODELS,
    "test_advanced_order_class_error_message_uses_plain_string_label",
    POST,
    "the message names what is wrong in plain words",
)
def advanced_order_class_error_message(shim: Shim) -> None:
    order = {"symbol": "AAPL", "qty": 1, "side": "buy", "type": "market", "time_in_force": "day"}
    with pytest.raises(APIError) as error:
        shim.client.post("/orders", order | {"order_class": "bracket"})
    assert error.value.message.startswith("order_class: not supported")


@case(
    MODELS,
    "test_mleg_order_class_only_supports_market_and_limit_requests",
    POST,
    "refused: class `mleg` with a stop or a stop-limit order; accepted with a market or a limit order",
    "there are no options, so class `mleg` is refused for every order type: 422, 40010001",
)
def mleg_order_class(shim: Shim) -> None:
    mleg = {"order_class": "mleg", "legs": [LEG, LEG | {"symbol": "AAPL250117P00250000", "side": "sell"}]}
    refuse_each(
        shim,
        mleg | {"type": "stop", "stop_price": 1},
        mleg | {"type": "stop_limit", "stop_price": 1, "limit_price": 1},
    )
    with shim.differs():
        shim.client.post("/orders", mleg | {"qty": 1, "type": "market", "time_in_force": "day"})


@case(
    MODELS,
    "test_mleg_options",
    POST,
    "refused: an order of class `mleg` with one leg, or with a symbol of its own",
)
def mleg_options(shim: Shim) -> None:
    refuse_each(shim, {"order_class": "mleg", "legs": [LEG]}, {"order_class": "mleg", "legs": [LEG, LEG]})


@case(
    MODELS, "test_trade_update_events", "TradeUpdate(update)", "each event of the stream is one that the client knows"
)
def trade_update_events(shim: Shim) -> None:
    placed = place(shim)
    final = {name for status, name in STATUSES.items() if status == Status.REJECTED} | {"canceled"}
    ours = set(EVENTS.values()) | final
    assert ours == {"accepted", "new", "fill", "rejected", "canceled"}
    for event in ours:
        update = TradeUpdate(event=TradeEvent(event), timestamp=placed.created_at, order=placed)
        assert update.event == event
