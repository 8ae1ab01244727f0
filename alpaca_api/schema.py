"""Serializers that only describe the responses in the OpenAPI schema. `serializers` and the views build them."""

from typing import Any

from rest_framework import serializers

from alpaca_api.serializers import CASH_ACTIVITIES, SHARE_ACTIVITIES, STATUSES


def text(help_text: str = "", null: bool = False) -> serializers.CharField:
    return serializers.CharField(help_text=help_text, allow_null=null)


def moment(null: bool = False) -> serializers.DateTimeField:
    return serializers.DateTimeField(allow_null=null, help_text="RFC 3339, UTC.")


def null_field(help_text: str = "Always null.") -> serializers.CharField:
    return serializers.CharField(allow_null=True, help_text=help_text)


class AlpacaErrorSerializer(serializers.Serializer[Any]):
    code = serializers.IntegerField(help_text="Eight digits; the first three are an HTTP status.")
    message = text()


class AlpacaOrderSerializer(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    client_order_id = text("As you sent it; otherwise the order's id.")
    created_at = moment()
    updated_at = moment()
    submitted_at = moment()
    filled_at = moment(null=True)
    expired_at = moment(null=True)
    canceled_at = moment(null=True)
    failed_at = moment(null=True)
    replaced_at = moment(null=True)
    replaced_by = null_field()
    replaces = null_field()
    asset_id = serializers.UUIDField()
    symbol = text()
    asset_class = serializers.ChoiceField(["us_equity"])
    notional = null_field()
    qty = text("Whole shares.")
    filled_qty = text("Whole shares: all of them, or 0.")
    filled_avg_price = text("USD per share, once filled.", null=True)
    order_class = serializers.CharField(allow_blank=True)
    order_type = serializers.ChoiceField(["market"])
    type = serializers.ChoiceField(["market"])
    side = serializers.ChoiceField(["buy", "sell"])
    time_in_force = serializers.ChoiceField(["day", "gtc"], help_text="As you sent it; `day` by default.")
    position_intent = serializers.ChoiceField(["buy_to_open", "sell_to_close"])
    limit_price = null_field()
    stop_price = null_field()
    status = serializers.ChoiceField([*STATUSES.values(), "canceled"])
    extended_hours = serializers.BooleanField()
    legs = null_field()
    trail_percent = null_field()
    trail_price = null_field()
    hwm = null_field()
    reject_reason = text("Our own addition: the reason code of a rejected order.", null=True)


class AlpacaCancelledOrderSerializer(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    status = serializers.IntegerField(help_text="200: cancelled; 422: already at the exchange.")
    body = serializers.JSONField(required=False)


class AlpacaAccountSerializer(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    account_number = text()
    status = serializers.ChoiceField(["ACTIVE"])
    currency = serializers.ChoiceField(["USD"])
    cash = text("USD.")
    cash_withdrawable = text("USD: settled cash that is not on hold.")
    buying_power = text("USD available to a new order: cash less the cost of open orders.")
    regt_buying_power = text("USD.")
    non_marginable_buying_power = text("USD.")
    daytrading_buying_power = text("USD.")
    portfolio_value = text("USD.")
    equity = text("USD: cash, and shares at their last price.")
    last_equity = text("USD: equity at the previous close.")
    long_market_value = text("USD.")
    short_market_value = text("USD.")
    initial_margin = text("USD.")
    maintenance_margin = text("USD.")
    last_maintenance_margin = text("USD.")
    sma = text("USD.")
    accrued_fees = text("USD.")
    multiplier = text("1: no margin.")
    shorting_enabled = serializers.BooleanField()
    pattern_day_trader = serializers.BooleanField()
    daytrade_count = serializers.IntegerField()
    trading_blocked = serializers.BooleanField(help_text="Trading is halted, for everyone or for this account.")
    transfers_blocked = serializers.BooleanField()
    account_blocked = serializers.BooleanField()
    trade_suspended_by_user = serializers.BooleanField()
    created_at = moment()


class AlpacaAccountConfigurationSerializer(serializers.Serializer[Any]):
    fractional_trading = serializers.BooleanField()
    max_margin_multiplier = text()
    no_shorting = serializers.BooleanField()
    suspend_trade = serializers.BooleanField()
    trade_confirm_email = serializers.ChoiceField(["all", "none"])
    ptp_no_exception_entry = serializers.BooleanField()
    dtbp_check = null_field()
    pdt_check = null_field()
    max_options_trading_level = null_field()


class AlpacaPositionSerializer(serializers.Serializer[Any]):
    asset_id = serializers.UUIDField()
    symbol = text()
    exchange = serializers.CharField(allow_blank=True)
    asset_class = serializers.ChoiceField(["us_equity"])
    asset_marginable = serializers.BooleanField()
    avg_entry_price = text("USD per share.")
    qty = text("Whole shares.")
    qty_available = text("Whole shares that are not on hold for an order.")
    side = serializers.ChoiceField(["long"])
    market_value = text("USD; null while no price is available.", null=True)
    cost_basis = text("USD.")
    unrealized_pl = text("USD.", null=True)
    unrealized_plpc = text("A ratio.", null=True)
    unrealized_intraday_pl = text("USD since the previous close, or since the purchase.", null=True)
    unrealized_intraday_plpc = text("A ratio.", null=True)
    current_price = text("USD per share; null while no price is available.", null=True)
    lastday_price = text("USD per share at the previous close.", null=True)
    change_today = text("The change from `lastday_price` to `current_price`, as a ratio.", null=True)


class AlpacaClosedPositionSerializer(serializers.Serializer[Any]):
    symbol = text()
    status = serializers.IntegerField()
    body = serializers.JSONField(help_text="The order, or the error.")


class AlpacaAssetSerializer(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    locals()["class"] = serializers.ChoiceField(["us_equity"])
    exchange = serializers.CharField(allow_blank=True)
    symbol = text()
    name = text()
    status = serializers.ChoiceField(["active", "inactive"])
    tradable = serializers.BooleanField()
    marginable = serializers.BooleanField()
    shortable = serializers.BooleanField()
    easy_to_borrow = serializers.BooleanField()
    fractionable = serializers.BooleanField()
    attributes = serializers.ListField(child=serializers.CharField())


class AlpacaClockSerializer(serializers.Serializer[Any]):
    timestamp = moment()
    is_open = serializers.BooleanField()
    next_open = moment()
    next_close = moment()


class AlpacaCalendarDaySerializer(serializers.Serializer[Any]):
    date = serializers.DateField()
    open = text("HH:MM, Eastern.")
    close = text("HH:MM, Eastern.")
    session_open = text("HHMM, Eastern.")
    session_close = text("HHMM, Eastern.")
    settlement_date = serializers.DateField()


class AlpacaPortfolioHistorySerializer(serializers.Serializer[Any]):
    timestamp = serializers.ListField(child=serializers.IntegerField(), help_text="Seconds since the epoch.")
    equity = serializers.ListField(child=serializers.FloatField(), help_text="USD.")
    profit_loss = serializers.ListField(
        child=serializers.FloatField(), help_text="USD, without deposits and withdrawals."
    )
    profit_loss_pct = serializers.ListField(child=serializers.FloatField(allow_null=True))
    base_value = serializers.FloatField(
        help_text="USD: equity before the first point; for a new account, its first equity."
    )
    base_value_asof = serializers.DateField()
    timeframe = serializers.ChoiceField(["1Min", "5Min", "15Min", "1H", "1D"])
    cashflow = serializers.DictField(
        child=serializers.ListField(child=serializers.FloatField()),
        help_text="USD by type, cumulative up to each point.",
    )


class AlpacaActivitySerializer(serializers.Serializer[Any]):
    id = text("`YYYYMMDDHHMMSSmmm::uuid`; `page_token` of the next page.")
    account_id = serializers.UUIDField()
    activity_type = serializers.ChoiceField(["FILL", *CASH_ACTIVITIES.values(), *SHARE_ACTIVITIES.values()])
    transaction_time = serializers.DateTimeField(required=False)
    type = serializers.ChoiceField(["fill"], required=False)
    price = serializers.CharField(required=False, help_text="USD per share.")
    qty = serializers.CharField(required=False, help_text="Whole shares.")
    side = serializers.ChoiceField(["buy", "sell"], required=False)
    symbol = serializers.CharField(required=False)
    leaves_qty = serializers.CharField(required=False)
    order_id = serializers.UUIDField(required=False)
    cum_qty = serializers.CharField(required=False)
    order_status = serializers.ChoiceField(["filled"], required=False)
    date = serializers.DateField(required=False)
    net_amount = serializers.CharField(required=False, help_text="USD.")
    description = serializers.CharField(required=False)
    status = serializers.ChoiceField(["executed"], required=False)
    settle_date = serializers.DateField(required=False, help_text="The settlement date, Eastern time.")


class AlpacaWatchlistSerializer(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    account_id = serializers.UUIDField()
    name = text()
    created_at = moment()
    updated_at = moment()
    assets = AlpacaAssetSerializer(many=True, required=False)
