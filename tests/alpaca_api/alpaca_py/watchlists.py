"""Watchlists. Their tests call these through the Broker API, ours through the trading client."""

from uuid import UUID

import pytest
from alpaca.trading.models import Watchlist
from alpaca.trading.requests import CreateWatchlistRequest, UpdateWatchlistRequest

from tests.alpaca_api.alpaca_py.shim import Shim, case

WATCHLISTS = "broker/broker_client/test_watchlist_routes"


def create(shim: Shim, *symbols: str) -> UUID:
    """Create a watchlist, and drop the request from the list."""
    watchlist = shim.client.create_watchlist(CreateWatchlistRequest(name="Test", symbols=list(symbols)))
    assert isinstance(watchlist, Watchlist)
    assert shim.requests == ["POST /alpaca/v2/watchlists"]
    shim.requests.clear()
    return watchlist.id


@case(WATCHLISTS, "test_get_watchlists_for_account", "get_watchlists()", "a list of `Watchlist`")
def get_watchlists(shim: Shim) -> None:
    create(shim, "AAPL")
    watchlists = shim.client.get_watchlists()
    assert isinstance(watchlists, list)
    assert len(watchlists) == 1
    assert isinstance(watchlists[0], Watchlist)


@case(
    WATCHLISTS,
    "test_get_watchlist_for_account_by_id",
    "get_watchlist_by_id(id)",
    "a `Watchlist` with its one asset",
)
def get_watchlist_by_id(shim: Shim) -> None:
    watchlist = shim.client.get_watchlist_by_id(create(shim, "AAPL"))
    assert isinstance(watchlist, Watchlist)
    assert isinstance(watchlist.assets, list)
    assert [asset.symbol for asset in watchlist.assets] == ["AAPL"]


@case(
    WATCHLISTS,
    "test_get_watchlist_for_account_by_id_validates_uuid_params",
    'get_watchlist_by_id("not a uuid")',
    "`ValueError`, and nothing is sent",
)
def get_watchlist_by_id_validates_uuid_params(shim: Shim) -> None:
    with pytest.raises(ValueError, match=r"uuid|UUID"):
        shim.client.get_watchlist_by_id("not a uuid")
    assert shim.requests == []


@case(WATCHLISTS, "test_create_watchlist_for_account", "create_watchlist(name, symbols)", "a `Watchlist`")
def create_watchlist(shim: Shim) -> None:
    create(shim, "AAPL")


@case(
    WATCHLISTS,
    "test_update_watchlist_for_account_by_id",
    "update_watchlist_by_id(id, name)",
    "a `Watchlist` with the new name",
)
def update_watchlist_by_id(shim: Shim) -> None:
    watchlist = shim.client.update_watchlist_by_id(create(shim, "AAPL"), UpdateWatchlistRequest(name="new name test"))
    assert isinstance(watchlist, Watchlist)
    assert watchlist.name == "new name test"


@case(
    WATCHLISTS,
    "test_update_watchlist_for_account_by_id_validates_ids",
    'update_watchlist_by_id("not a uuid", symbols)',
    "`ValueError`, and nothing is sent",
)
def update_watchlist_by_id_validates_ids(shim: Shim) -> None:
    with pytest.raises(ValueError, match=r"uuid|UUID"):
        shim.client.update_watchlist_by_id("not a uuid", UpdateWatchlistRequest(symbols=["AAPL"]))
    assert shim.requests == []


@case(
    WATCHLISTS,
    "test_add_asset_to_watchlist",
    'add_asset_to_watchlist_by_id(id, "AAPL")',
    "a `Watchlist` with that asset",
)
def add_asset_to_watchlist(shim: Shim) -> None:
    watchlist = shim.client.add_asset_to_watchlist_by_id(create(shim), "AAPL")
    assert isinstance(watchlist, Watchlist)
    assert watchlist.assets
    assert watchlist.assets[0].symbol == "AAPL"


def _remove(shim: Shim) -> None:
    watchlist = shim.client.remove_asset_from_watchlist_by_id(create(shim, "AAPL"), "AAPL")
    assert len(shim.requests) == 1
    assert isinstance(watchlist, Watchlist)
    assert watchlist.assets == []


for name in ("test_remove_asset_to_watchlist_for_account", "test_remove_asset_from_watchlist_for_account"):
    case(WATCHLISTS, name, 'remove_asset_from_watchlist_by_id(id, "AAPL")', "a `Watchlist` without assets")(_remove)


@case(WATCHLISTS, "test_delete_watchlist_for_account", "delete_watchlist_by_id(id)", "one request; nothing is raised")
def delete_watchlist(shim: Shim) -> None:
    watchlist_id = create(shim, "AAPL")
    shim.client.delete_watchlist_by_id(watchlist_id)
    assert shim.requests == [f"DELETE /alpaca/v2/watchlists/{watchlist_id}"]
