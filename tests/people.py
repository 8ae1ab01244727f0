"""Functions that open accounts, buy shares, and report trades as the exchange does."""

import time
from datetime import date
from decimal import Decimal
from typing import Any

from allauth.mfa import app_settings as mfa_settings
from allauth.mfa.totp.internal.auth import format_hotp_value, hotp_value

from accounts.funding import deposit, withdraw
from accounts.models import Customer
from accounts.settlement import cash_of
from tests.factories import CustomerFactory
from trades import mails
from trades.lane import collect_rings
from trades.models import Report, Status, Trade, Type
from trades.place import place_trade
from trades.report import store_reports
from trades.turn import settle_and_claim
from web.timezones import eastern_today


def alice() -> Customer:
    """Create Alice, with 1,000 USD and 10 AAPL."""
    alice = open_account("alice@example.com", Decimal(2000))
    receive_shares(alice, "AAPL", 10, Decimal(100))
    return alice


def bob() -> Customer:
    """Create Bob, with 500 USD."""
    return open_account("bob@example.com", Decimal(500))


def open_account(email: str, cash: Decimal, **more: Any) -> Customer:
    """Create a customer with this much cash."""
    customer: Customer = CustomerFactory.create(email=email, **more)
    deposit(customer.id, cash)
    return customer


def receive_shares(customer: Customer, ticker: str, quantity: int, price: Decimal) -> Trade:
    """Buy shares for a customer without an exchange: place, claim, report and settle."""
    trade, _ = place_trade(customer.id, ticker, Type.BUY, quantity)
    claim(customer)
    send_report(trade, Status.FILLED, price)
    claim(customer)
    trade.refresh_from_db()
    assert trade.status == Status.FILLED
    return trade


def claim(*customers: Customer) -> list[Trade]:
    """Run a lane's turn without sending; return the claimed trades."""
    return settle_and_claim([customer.id for customer in customers], by="test")


def trade(
    customer: Customer, type: str, quantity: int, price: str, day: date | None = None, ticker: str = "KO"
) -> Trade:
    """Place and fill a trade on a day (default: today) at this price, as if the exchange had reported it."""
    trade, _ = place_trade(customer.id, ticker, type, quantity)
    claim(customer)
    send_report(trade, Status.FILLED, Decimal(price), executedAt=f"{day or eastern_today()}T17:00:00.000000Z")
    claim(customer)
    trade.refresh_from_db()
    assert trade.status == Status.FILLED, trade.reason_code
    return trade


def violate(customer: Customer, day: date | None = None) -> Trade:
    """Commit a good-faith violation: sell an AAPL, buy with the proceeds, and sell that purchase on the same day.

    Settled cash is withdrawn first.
    """
    if cash := cash_of(customer.id).withdrawable:
        withdraw(customer.id, cash)
    trade(customer, "SELL", 1, "10", day, "AAPL")
    trade(customer, "BUY", 1, "10", day)
    return trade(customer, "SELL", 1, "10", day)


def find_ended_trades() -> None:
    """Find all trades that have ended, as the sweep does: what one round sees, the next one handles."""
    for _ in range(2):
        mails.find_ended()


def take_rung_customers(lane: int) -> list[int]:
    """Take one batch of customers that have rung, as this lane's worker does."""
    return next(collect_rings(lane), [])


def report_body(trade: Trade, status: str, price: Decimal | None = None, **more: Any) -> dict[str, Any]:
    """Return the exchange's report on a trade, in wire format."""
    filled = status == Status.FILLED and price is not None
    return {
        "tradeId": str(trade.id),
        "status": status,
        "stockTicker": trade.ticker,
        "type": trade.type,
        "quantity": trade.quantity,
        "price": f"{price:.4f}" if filled else None,
        "amount": f"{price * trade.quantity:.4f}" if filled else None,  # type: ignore[operator]
        "reason": None if filled else "Something went wrong.",
        "reasonCode": None if filled else "exchange_error",
        "executionId": f"x-{trade.id}" if filled else None,
        "executedAt": "2026-01-02T15:04:05.000000Z" if filled else None,
    } | more


def send_report(trade: Trade, status: str, price: Decimal | None = None, **more: Any) -> None:
    """Store a report on a trade, as if the exchange had sent it."""
    store_reports([report_body(trade, status, price, **more)], Report.Source.CALLBACK)


def totp_code(secret: str, steps_ahead: int = 0, at: float | None = None) -> str:
    """Return the code that an authenticator app shows at a moment, or this many steps later.

    The server also accepts the code of the previous step, but only until the current step ends.

    Args:
        at: The moment in seconds since the epoch (default: now).
    """
    step = int(time.time() if at is None else at) // mfa_settings.TOTP_PERIOD
    return format_hotp_value(hotp_value(secret, step + steps_ahead))
