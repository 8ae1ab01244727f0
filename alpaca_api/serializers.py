"""Our nouns in the client's words."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import NAMESPACE_URL, UUID, uuid5

from accounts.models import CASH, Customer, Position, Posting
from accounts.money import money
from accounts.settlement import Cash
from alpaca_api.day import Day
from exchange.models import Stock
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
    """RFC 3339, UTC, with microseconds."""
    return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ") if value else None


def account_id(customer_id: int) -> UUID:
    """The account's id: always the same one for a customer."""
    return uuid5(NAMESPACE, f"account {customer_id}")


def asset_id(ticker: str) -> UUID:
    """The asset's id: always the same one for a ticker."""
    return uuid5(NAMESPACE, f"asset {ticker}")


def execution_id(trade_id: UUID) -> UUID:
    """The id of a trade's one execution."""
    return uuid5(NAMESPACE, f"execution {trade_id}")


def status_of(trade: Trade) -> str:
    """The order's status. A trade that was cancelled ends REJECTED here and `canceled` there."""
    return "canceled" if trade.reason_code == Reason.CANCELLED else STATUSES[Status(trade.status)]


def order(trade: Trade) -> dict[str, Any]:
    """A trade as an order."""
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
    """A number as text, without an exponent, and without zeros that say nothing."""
    text = f"{value:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def ratio(part: Decimal, whole: Decimal) -> str:
    """How much of the whole it is, six digits; 0 of nothing."""
    return decimal(round(part / whole, 6)) if whole else "0"


def position(row: Position, day: Day, market: str) -> dict[str, Any]:
    """A position. Its value is at the last price; None while no price is known."""
    cost = row.cost
    quote, profit = day.quotes.get(row.ticker), day.profit(row)
    price, before = (quote.price, quote.previous_close) if quote else (None, None)
    value = None if price is None else money(price * row.quantity)
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
        "unrealized_intraday_pl": decimal(money(profit[0])) if profit else None,
        "unrealized_intraday_plpc": decimal(round(profit[1], 6)) if profit else None,
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
    """A customer's account: cash only, no margin, long only. `equity_before` is that at the previous close."""
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
    """A listed stock."""
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


def of_its_fee(trade_id: UUID) -> UUID:
    """The id of the fee of a trade, whose fill has the trade's own; and the other way round."""
    return UUID(int=trade_id.int ^ 1)


def activity_uuid(posting: Posting) -> UUID:
    """The id of what caused a posting, or of the fee of it."""
    return of_its_fee(posting.cause) if posting.kind == Posting.Kind.FEE else posting.cause


def activity_id(posting: Posting) -> str:
    """`YYYYMMDDHHMMSSmmm::uuid`: a posting's time and its cause."""
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
    """A trade's movement of shares as a fill, one of cash as a deposit or a withdrawal, an adjustment as a journal."""
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
