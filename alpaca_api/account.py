"""The account: cash, equity, and configuration."""

import json
from decimal import Decimal
from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from accounts import notices
from accounts import queries as accounts
from accounts.models import Token
from accounts.settlement import cash_of
from alpaca_api import schema
from alpaca_api import serializers as alpaca
from alpaca_api.day import day_of
from alpaca_api.drf import UNPROCESSABLE, AlpacaError, AlpacaView
from alpaca_api.models import Configuration
from trades import checks
from trades.estimate import buying_power
from web.serializers import StrictSerializer, TextField


class AccountView(AlpacaView):
    """A customer's account."""

    @extend_schema(operation_id="alpacaGetAccount", responses=schema.AlpacaAccountSerializer)
    def get(self, request: Request) -> Response:
        """Get cash, buying power and equity. Shares count at the last price, or at cost while no price is available."""
        positions = list(accounts.positions_of(self.customer_id))
        day = day_of(self.customer_id, positions)
        prices = {ticker: quote.price for ticker, quote in day.quotes.items()}
        value = sum((row.value_or_cost(prices.get(row.ticker)) for row in positions), Decimal(0))
        rules = checks.rules()
        return Response(
            alpaca.account(
                request.auth.customer,  # type: ignore[union-attr]
                cash_of(self.customer_id),
                buying_power(self.customer_id),
                value,
                day.equity_before,
                rules.all_halted or self.customer_id in rules.halted_customers,
                Configuration.objects.filter(customer_id=self.customer_id, suspend_trade=True).exists(),
            )
        )


class ConfigureAccountSerializer(StrictSerializer):
    suspend_trade = serializers.BooleanField(required=False)
    trade_confirm_email = serializers.ChoiceField(["all", "none"], required=False)
    no_shorting = serializers.BooleanField(required=False, help_text="true.")
    fractional_trading = serializers.BooleanField(required=False, help_text="false.")
    max_margin_multiplier = TextField(required=False, max_length=8, help_text='"1".')
    ptp_no_exception_entry = serializers.BooleanField(required=False, help_text="false.")
    dtbp_check = TextField(required=False, allow_null=True, max_length=20, help_text="null.")
    pdt_check = TextField(required=False, allow_null=True, max_length=20, help_text="null.")
    max_options_trading_level = serializers.IntegerField(required=False, allow_null=True, help_text="null.")


FIXED_SETTINGS = {
    "fractional_trading": False,
    "max_margin_multiplier": "1",
    "no_shorting": True,
    "ptp_no_exception_entry": False,
    "dtbp_check": None,
    "pdt_check": None,
    "max_options_trading_level": None,
}


class ConfigurationView(AlpacaView):
    """The account's configuration."""

    scope = Token.Scope.TRADE

    @extend_schema(operation_id="alpacaGetConfigurations", responses=schema.AlpacaAccountConfigurationSerializer)
    def get(self, request: Request) -> Response:
        """Get your account's configuration."""
        return Response(self._settings())

    @extend_schema(
        operation_id="alpacaSetConfigurations",
        request=ConfigureAccountSerializer,
        responses=schema.AlpacaAccountConfigurationSerializer,
    )
    def patch(self, request: Request) -> Response:
        """Set `suspend_trade` and `trade_confirm_email`. The other settings are fixed: other values are rejected."""
        params = self.validated(ConfigureAccountSerializer, request.data)
        for name, value in FIXED_SETTINGS.items():
            if params.get(name, value) != value:
                raise AlpacaError(422, UNPROCESSABLE, f"{name}: only {json.dumps(value)} is supported")
        if "suspend_trade" in params:
            changes = {"suspend_trade": params["suspend_trade"]}
            Configuration.objects.update_or_create(customer_id=self.customer_id, defaults=changes)
        if "trade_confirm_email" in params:
            muted = notices.muted_by(self.customer_id) - {notices.Kind.TRADES}
            if params["trade_confirm_email"] == "none":
                muted.add(notices.Kind.TRADES)
            notices.set_muted(self.customer_id, muted)
        return Response(self._settings())

    def _settings(self) -> dict[str, Any]:
        suspended = Configuration.objects.filter(customer_id=self.customer_id, suspend_trade=True).exists()
        mailed = notices.wants(self.customer_id, notices.Kind.TRADES)
        return FIXED_SETTINGS | {"suspend_trade": suspended, "trade_confirm_email": "all" if mailed else "none"}
