"""Positions: list, find, close, exercise. The customer holds 200 AAPL."""

from collections.abc import Callable
from typing import Any
from uuid import UUID, uuid4

from alpaca.trading.models import Asset, ClosePositionResponse, Order, Position
from alpaca.trading.requests import ClosePositionRequest

from tests.alpaca_api.alpaca_py.shim import Shim, case

POSITIONS = "trading/trading_client/test_position_routes"
NO_OPTIONS = "there are no options: 404, 40410000"
OPTION = "SPY240304P00480000"


def asset_id_of(shim: Shim) -> UUID:
    """Return the id of AAPL, and drop the request from the list."""
    asset = shim.client.get_asset("AAPL")
    assert isinstance(asset, Asset)
    shim.requests.clear()
    return asset.id


@case(POSITIONS, "test_get_all_positions", "get_all_positions()", "a list of `Position`")
def get_all_positions(shim: Shim) -> None:
    positions = shim.client.get_all_positions()
    assert isinstance(positions, list)
    assert isinstance(positions[0], Position)


@case(
    POSITIONS,
    "test_get_open_position_with_asset_id",
    "get_open_position(asset_id)",
    "a `Position` of that asset",
)
def get_open_position_with_asset_id(shim: Shim) -> None:
    asset_id = asset_id_of(shim)
    position = shim.client.get_open_position(asset_id)
    assert len(shim.requests) == 1
    assert isinstance(position, Position)
    assert position.asset_id == asset_id


@case(POSITIONS, "test_get_open_position_with_symbol", 'get_open_position("AAPL")', "a `Position` with that symbol")
def get_open_position_with_symbol(shim: Shim) -> None:
    position = shim.client.get_open_position("AAPL")
    assert len(shim.requests) == 1
    assert isinstance(position, Position)
    assert position.symbol == "AAPL"


@case(
    POSITIONS,
    "test_close_all_positions",
    "close_all_positions(True)",
    "one request with `cancel_orders=True`; a list of `ClosePositionResponse`",
)
def close_all_positions(shim: Shim) -> None:
    closed = shim.client.close_all_positions(True)
    assert shim.requests == ["DELETE /alpaca/v2/positions?cancel_orders=True"]
    assert isinstance(closed, list)
    assert isinstance(closed[0], ClosePositionResponse)


@case(
    POSITIONS,
    "test_close_position_with_id",
    "close_position(asset_id)",
    "one request without parameters; an `Order` for that asset",
)
def close_position_with_id(shim: Shim) -> None:
    asset_id = asset_id_of(shim)
    order = shim.client.close_position(asset_id)
    assert shim.requests == [f"DELETE /alpaca/v2/positions/{asset_id}"]
    assert isinstance(order, Order)
    assert order.asset_id == asset_id


@case(
    POSITIONS,
    "test_close_position_with_symbol",
    'close_position("AAPL")',
    "one request without parameters; an `Order` for that symbol",
)
def close_position_with_symbol(shim: Shim) -> None:
    order = shim.client.close_position("AAPL")
    assert shim.requests == ["DELETE /alpaca/v2/positions/AAPL"]
    assert isinstance(order, Order)
    assert order.symbol == "AAPL"


@case(
    POSITIONS,
    "test_close_position_with_qty",
    'close_position(asset_id, qty="100")',
    "one request, with `qty`; an `Order`",
)
def close_position_with_qty(shim: Shim) -> None:
    order = _close(shim, ClosePositionRequest(qty="100"), "qty=100")
    assert order.qty == "100"


@case(
    POSITIONS,
    "test_close_position_with_percentage",
    'close_position(asset_id, percentage="0.5")',
    "one request with `percentage`; an `Order`",
)
def close_position_with_percentage(shim: Shim) -> None:
    order = _close(shim, ClosePositionRequest(percentage="0.5"), "percentage=0.5")
    assert order.qty == "1"


def _close(shim: Shim, part: ClosePositionRequest, query: str) -> Order:
    asset_id = asset_id_of(shim)
    order = shim.client.close_position(asset_id, part)
    assert shim.requests == [f"DELETE /alpaca/v2/positions/{asset_id}?{query}"]
    assert isinstance(order, Order)
    return order


def _exercise(shim: Shim, contract: Any) -> None:
    exercise: Callable[[], Any] = lambda: shim.client.exercise_options_position(symbol_or_contract_id=contract)  # noqa: E731
    with shim.differs():
        exercise()
    assert shim.refused(exercise) == (404, 40410000)


@case(
    POSITIONS,
    "test_exercise_options_position_with_symbol",
    f'exercise_options_position("{OPTION}")',
    "nothing is raised",
    NO_OPTIONS,
)
def exercise_options_position_with_symbol(shim: Shim) -> None:
    _exercise(shim, OPTION)


@case(
    POSITIONS,
    "test_exercise_options_position_with_id",
    "exercise_options_position(contract_id)",
    "nothing is raised",
    NO_OPTIONS,
)
def exercise_options_position_with_id(shim: Shim) -> None:
    _exercise(shim, uuid4())
