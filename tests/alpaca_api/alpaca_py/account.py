"""The account, its configuration, assets, corporate actions and options."""

from datetime import date
from typing import Any

import pytest
from alpaca.trading.enums import AssetClass, AssetExchange, AssetStatus, CorporateActionType, DTBPCheck, PDTCheck
from alpaca.trading.models import AccountConfiguration, Asset, TradeAccount
from alpaca.trading.requests import (
    GetAssetsRequest,
    GetCorporateAnnouncementsRequest,
    GetOptionContractsRequest,
)

from tests.alpaca_api.alpaca_py.shim import Shim, case

ACCOUNT = "trading/trading_client/test_account_routes"
ASSETS = "trading/trading_client/test_asset_routes"
ANNOUNCEMENTS = "trading/trading_client/test_corporate_announcements"
OPTIONS = "trading/trading_client/test_option_routes"
NO_OPTIONS = "there are no options: 404, 40410000"
OPTION = "AAPL231103C00170000"
NOT_FOUND = (404, 40410000)


@case(
    ACCOUNT,
    "test_get_account",
    "get_account()",
    "a `TradeAccount`, with the options buying power and trading level",
    "there are no options, so their three fields are empty",
)
def get_account(shim: Shim) -> None:
    account = shim.client.get_account()
    assert isinstance(account, TradeAccount)
    with shim.differs():
        assert account.options_buying_power == account.buying_power
    assert (account.options_buying_power, account.options_approved_level, account.options_trading_level) == (None,) * 3


@case(
    ACCOUNT,
    "test_get_account_configurations",
    "get_account_configurations()",
    "an `AccountConfiguration`, with the level for options",
    "there are no options, so the level is empty",
)
def get_account_configurations(shim: Shim) -> None:
    configuration = shim.client.get_account_configurations()
    assert isinstance(configuration, AccountConfiguration)
    with shim.differs():
        assert configuration.max_options_trading_level == 1
    assert configuration.max_options_trading_level is None


@case(
    ACCOUNT,
    "test_get_account_configurations_without_deprecated_pdt_fields",
    "get_account_configurations()",
    "an `AccountConfiguration`; `dtbp_check` and `pdt_check` are empty",
)
def get_account_configurations_without_deprecated_fields(shim: Shim) -> None:
    configuration = shim.client.get_account_configurations()
    assert isinstance(configuration, AccountConfiguration)
    assert configuration.dtbp_check is None
    assert configuration.pdt_check is None


@case(
    ACCOUNT,
    "test_set_account_configurations",
    "set_account_configurations(configuration)",
    "an `AccountConfiguration` that equals what was sent",
    "their test turns on fractional trading and day-trading checks, which do not exist here: 422, 40010001. "
    "A configuration with supported values is returned as it was sent",
)
def set_account_configurations(shim: Shim) -> None:
    common: dict[str, Any] = {
        "no_shorting": True,
        "suspend_trade": True,
        "max_margin_multiplier": "1",
        "trade_confirm_email": "none",
        "ptp_no_exception_entry": False,
    }
    unsupported = AccountConfiguration(
        **common,
        dtbp_check=DTBPCheck.ENTRY,
        pdt_check=PDTCheck.BOTH,
        fractional_trading=True,
        max_options_trading_level=1,
    )
    with shim.differs():
        shim.client.set_account_configurations(unsupported)
    assert shim.refused(lambda: shim.client.set_account_configurations(unsupported)) == (422, 40010001)
    supported = AccountConfiguration(
        **common, dtbp_check=None, pdt_check=None, fractional_trading=False, max_options_trading_level=None
    )
    returned = shim.client.set_account_configurations(supported)
    assert isinstance(returned, AccountConfiguration)
    assert returned == supported


@case(
    ASSETS,
    "test_get_all_assets",
    'get_all_assets(status="active")',
    "a list of `Asset`, each active, with a list of attributes",
)
def get_all_assets(shim: Shim) -> None:
    assets = shim.client.get_all_assets(GetAssetsRequest(status=AssetStatus.ACTIVE))
    assert isinstance(assets, list)
    assert len(assets) > 1
    assert {type(asset) for asset in assets} == {Asset}
    assert {asset.status for asset in assets} == {AssetStatus.ACTIVE}
    assert all(isinstance(asset.attributes, list) for asset in assets)


@case(
    ASSETS,
    "test_get_all_assets_params",
    "get_all_assets(status, asset_class, exchange, attributes)",
    "a list of `Asset` of that class and exchange, with those attributes",
    "no asset has attributes, so filtering by them finds nothing; the other filters work",
)
def get_all_assets_params(shim: Shim) -> None:
    filters: dict[str, Any] = {
        "status": AssetStatus.ACTIVE,
        "asset_class": AssetClass.US_EQUITY,
        "exchange": AssetExchange.NASDAQ,
    }
    with shim.differs():
        assert shim.client.get_all_assets(GetAssetsRequest(**filters, attributes="attribute1,attribute2"))
    assets = shim.client.get_all_assets(GetAssetsRequest(**filters))
    assert assets
    found = {(asset.status, asset.asset_class, asset.exchange) for asset in assets if isinstance(asset, Asset)}
    assert {type(asset) for asset in assets} == {Asset}
    assert found == {(AssetStatus.ACTIVE, AssetClass.US_EQUITY, AssetExchange.NASDAQ)}


@case(ASSETS, "test_get_asset", 'get_asset("AAPL")', "an active `Asset` with that symbol and a list of attributes")
def get_asset(shim: Shim) -> None:
    asset = shim.client.get_asset("AAPL")
    assert isinstance(asset, Asset)
    assert (asset.symbol, asset.status) == ("AAPL", AssetStatus.ACTIVE)
    assert isinstance(asset.attributes, list)


@case(
    ANNOUNCEMENTS,
    "test_get_announcements",
    "get_corporate_announcements(ca_types, since, until)",
    "a list of `CorporateActionAnnouncement`",
    "deprecated in the client itself: 404, 40410000; dividends and splits are in the account's activities",
)
def get_announcements(shim: Shim) -> None:
    request = GetCorporateAnnouncementsRequest(
        ca_types=[CorporateActionType.DIVIDEND], since=date(2021, 1, 1), until=date(2021, 2, 1)
    )
    with shim.differs(), pytest.deprecated_call():
        shim.client.get_corporate_announcements(request)
    with pytest.deprecated_call():
        assert shim.refused(lambda: shim.client.get_corporate_announcements(request)) == NOT_FOUND


def _get_option_contracts(shim: Shim, symbols: list[str]) -> None:
    request = GetOptionContractsRequest(underlying_symbols=symbols)
    with shim.differs():
        shim.client.get_option_contracts(request)
    assert shim.refused(lambda: shim.client.get_option_contracts(request)) == NOT_FOUND


@case(
    OPTIONS,
    "test_get_option_contracts",
    'get_option_contracts(["AAPL"])',
    "an `OptionContractsResponse` of one page",
    NO_OPTIONS,
)
def get_option_contracts(shim: Shim) -> None:
    _get_option_contracts(shim, ["AAPL"])


@case(
    OPTIONS,
    "test_get_option_contracts_with_multiple_symbols",
    'get_option_contracts(["AAPL", "SPY"])',
    "an `OptionContractsResponse` with a token for the next page",
    NO_OPTIONS,
)
def get_option_contracts_with_multiple_symbols(shim: Shim) -> None:
    _get_option_contracts(shim, ["AAPL", "SPY"])


@case(
    OPTIONS,
    "test_get_option_contract",
    f'get_option_contract("{OPTION}")',
    "an `OptionContract` with that symbol",
    NO_OPTIONS,
)
def get_option_contract(shim: Shim) -> None:
    with shim.differs():
        shim.client.get_option_contract(OPTION)
    assert shim.refused(lambda: shim.client.get_option_contract(OPTION)) == NOT_FOUND
