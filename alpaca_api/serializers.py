"""Convert our models to Alpaca's objects: trades to orders, postings to activities, and so on."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import NAMESPACE_URL, UUID, uuid5

from accounts.models import CASH, Customer, Position, Posting
from accounts.money import money
from accounts.settlement import Cash
from alpaca_api.day import Day
from exchange.models import Stock
from trades import ticker_change
from trades.models import Reason, Status, Trade, Type

NAMESPACE = uuid5(NAMESPACE_URL, "https://brokerage.example/alpaca")
STATUSES = {
    Status.PLACED: "accepted",
    Status.IN_PROGRESS: "new",
    Status.FILLED: "filled",
    Status.REJECTED: "rejected",
}
POSITION_INTENTS = {Type.BUY: "buy_to_open", Type.SELL: "sell_to_close"}  # there are no short positions
EXCHANGES = {"AMEX", "ARCA", "BATS", "NYSE", "NASDAQ", "NYSEARCA", "OTC"}


def moment(value: datetime | None) -> str | None:
    """Format a time: RFC 3339, UTC, with microseconds."""
    return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ") if value else None


def account_id(customer_id: int) -> UUID:
    """Return the account id of a customer. It never changes."""
    return uuid5(NAMESPACE, f"account {customer_id}")


def asset_id(ticker: str) -> UUID:
    """Return the asset id of a ticker's stock. It stays the same when the stock gets another ticker."""
    return uuid5(NAMESPACE, f"asset {ticker_change.identity(ticker)}")


def execution_id(trade_id: UUID) -> UUID:
    """Return the id of a trade's only execution."""
    return uuid5(NAMESPACE, f"execution {trade_id}")


def status_of(trade: Trade) -> str:
    """Return the order status of a trade. A cancelled trade is REJECTED in our model and `canceled` in Alpaca's."""
    return "canceled" if trade.reason_code == Reason.CANCELLED else STATUSES[Status(trade.status)]


def order(trade: Trade) -> dict[str, Any]:
    """Return a trade as an Alpaca order."""
    filled = trade.status == Status.FILLED
    status = status_of(trade)
    return {
        "id": str(trade.id),
        "client_order_id": trade.idempotency_key or str(trade.id),
        "created_at": moment(trade.placed_at),
        "updated_at": moment(trade.settled_at or trade.claimed_at or trade.placed_at),
        "submitted_at": moment(trade.placed_at),
        "filled_at": moment(trade.settled_at) if filled else None,
        "expired_at": None,
        "canceled_at": moment(trade.settled_at) if status == "canceled" else None,
        "failed_at": moment(trade.settled_at) if status == "rejected" else None,
        "replaced_at": None,
        "replaced_by": None,
        "replaces": None,
        "asset_id": str(asset_id(trade.ticker)),
        "symbol": trade.ticker,
        "asset_class": "us_equity",
        "notional": None,
        "qty": str(trade.quantity),
        "filled_qty": str(trade.quantity) if filled else "0",
        "filled_avg_price": decimal(trade.price) if trade.price is not None else None,
        "order_class": "",
        "order_type": "market",
        "type": "market",
        "side": trade.type.lower(),
        "time_in_force": trade.time_in_force or "day",
        "position_intent": POSITION_INTENTS[Type(trade.type)],
        "limit_price": None,
        "stop_price": None,
        "status": status,
        "extended_hours": False,
        "legs": None,
        "trail_percent": None,
        "trail_price": None,
        "hwm": None,
        "reject_reason": trade.reason_code or None,
    }


def decimal(value: Decimal) -> str:
    """Format a number without an exponent and without trailing zeros."""
    text = f"{value:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def ratio(part: Decimal, whole: Decimal) -> str:
    """Format the ratio of a part to the whole with six decimals; 0 if the whole is 0."""
    return decimal(round(part / whole, 6)) if whole else "0"


def position(row: Position, day: Day, market: str) -> dict[str, Any]:
    """Return a position. Its value is at the last price, or None while no price is known."""
    cost = row.cost
    quote, day_gain = day.quotes.get(row.ticker), day.gain(row)
    price, before = (quote.price, quote.previous_close) if quote else (None, None)
    value = row.market_value(price)
    gain = None if value is None else value - cost
    return {
        "asset_id": str(asset_id(row.ticker)),
        "symbol": row.ticker,
        "exchange": market if market in EXCHANGES else "",
        "asset_class": "us_equity",
        "asset_marginable": False,
        "avg_entry_price": decimal(row.average_price),
        "qty": str(row.quantity),
        "qty_available": str(row.quantity - row.held),
        "side": "long",
        "market_value": None if value is None else decimal(value),
        "cost_basis": decimal(cost),
        "unrealized_pl": None if gain is None else decimal(gain),
        "unrealized_plpc": None if gain is None else ratio(gain, cost),
        "unrealized_intraday_pl": decimal(money(day_gain.amount)) if day_gain else None,
        "unrealized_intraday_plpc": decimal(round(day_gain.ratio, 6)) if day_gain else None,
        "current_price": None if price is None else decimal(price),
        "lastday_price": decimal(before) if before else None,
        "change_today": ratio(price - before, before) if price and before else None,
    }


def account(
    customer: Customer,
    balance: Cash,
    buying_power: Decimal,
    shares_value: Decimal,
    equity_before: Decimal | None,
    is_halted: bool,
    suspended: bool,
) -> dict[str, Any]:
    """Return a customer's account: a cash account without margin or short selling.

    Args:
        equity_before: The equity at the previous close; None: unknown.
    """
    equity = balance.amount + shares_value
    cash, available, value = decimal(balance.amount), decimal(buying_power), decimal(shares_value)
    return {
        "id": str(account_id(customer.id)),
        "account_number": f"{customer.id:09d}",
        "status": "ACTIVE",
        "currency": "USD",
        "cash": cash,
        "cash_withdrawable": decimal(balance.withdrawable),
        "buying_power": available,
        "regt_buying_power": available,
        "non_marginable_buying_power": available,
        "daytrading_buying_power": "0",
        "portfolio_value": decimal(equity),
        "equity": decimal(equity),
        "last_equity": decimal(equity if equity_before is None else equity_before),
        "long_market_value": value,
        "short_market_value": "0",
        "initial_margin": value,
        "maintenance_margin": "0",
        "last_maintenance_margin": "0",
        "sma": "0",
        "accrued_fees": "0",
        "multiplier": "1",
        "shorting_enabled": False,
        "pattern_day_trader": False,
        "daytrade_count": 0,
        "trading_blocked": is_halted,
        "transfers_blocked": False,
        "account_blocked": False,
        "trade_suspended_by_user": suspended,
        "created_at": moment(customer.joined_at),
    }


def asset(stock: Stock) -> dict[str, Any]:
    """Return a stock as an asset."""
    return {
        "id": str(asset_id(stock.ticker)),
        "class": "us_equity",
        "exchange": stock.market if stock.market in EXCHANGES else "",
        "symbol": stock.ticker,
        "name": stock.name,
        "status": "active" if stock.listed else "inactive",
        "tradable": stock.listed,
        "marginable": False,
        "shortable": False,
        "easy_to_borrow": False,
        "fractionable": False,
        "attributes": [],
    }


def fee_activity_id(trade_id: UUID) -> UUID:
    """Return the activity id of a trade's fee, or the trade's id for that. The fill uses the trade's own id."""
    return UUID(int=trade_id.int ^ 1)


def activity_uuid(posting: Posting) -> UUID:
    """Return the UUID of a posting's activity: its cause, or the id derived from it if the posting is a fee."""
    return fee_activity_id(posting.cause) if posting.kind == Posting.Kind.FEE else posting.cause


def activity_id(posting: Posting) -> str:
    """Return the id of a posting's activity: `YYYYMMDDHHMMSSmmm::uuid`."""
    at = posting.created_at.astimezone(UTC)
    return f"{at:%Y%m%d%H%M%S}{at.microsecond // 1000:03d}::{activity_uuid(posting)}"


CASH_ACTIVITIES = {
    Posting.Kind.DEPOSIT: "CSD",
    Posting.Kind.WITHDRAWAL: "CSW",
    Posting.Kind.ADJUSTMENT: "JNLC",
    Posting.Kind.DIVIDEND: "DIV",
    Posting.Kind.SPLIT: "CIL",
    Posting.Kind.FEE: "FEE",
}
SHARE_ACTIVITIES = {
    Posting.Kind.ADJUSTMENT: "JNLS",
    Posting.Kind.SPLIT: "SPLIT",
    Posting.Kind.NEW_TICKER: "SC",
}


def activity(posting: Posting) -> dict[str, Any]:
    """Return a posting as an activity.

    A trade's posting of shares is a fill, a posting of cash a deposit, withdrawal, dividend or fee, and an adjustment a
    journal entry.
    """
    common = {"id": activity_id(posting), "account_id": str(account_id(posting.customer_id))}
    if posting.settles_on:
        common["settle_date"] = posting.settles_on.isoformat()
    if posting.kind in SHARE_ACTIVITIES and posting.ticker != CASH:
        return common | {
            "activity_type": SHARE_ACTIVITIES[Posting.Kind(posting.kind)],
            "date": f"{posting.created_at.astimezone(UTC):%Y-%m-%d}",
            "net_amount": "0",
            "description": str(Posting.Kind(posting.kind).label),
            "symbol": posting.ticker,
            "qty": str(int(posting.change)),
            "price": decimal(posting.price or Decimal(0)),
            "status": "executed",
        }
    if posting.ticker == CASH:
        return common | {
            "activity_type": CASH_ACTIVITIES[Posting.Kind(posting.kind)],
            "date": f"{posting.created_at.astimezone(UTC):%Y-%m-%d}",
            "net_amount": decimal(posting.change),
            "description": str(Posting.Kind(posting.kind).label),
            "status": "executed",
        }
    quantity = str(abs(int(posting.change)))
    return common | {
        "activity_type": "FILL",
        "transaction_time": moment(posting.created_at),
        "type": "fill",
        "price": decimal(posting.price or Decimal(0)),
        "qty": quantity,
        "side": posting.kind,
        "symbol": posting.ticker,
        "leaves_qty": "0",
        "order_id": str(posting.cause),
        "cum_qty": quantity,
        "order_status": "filled",
    }
