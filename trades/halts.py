"""Explain to customers what is halted, restricted, or limited, and why an order was refused."""

from dataclasses import dataclass

from trades.checks import (
    LineTooLong,
    Overloaded,
    PlacingRefused,
    PriceUnknown,
    TooManyOrders,
    TooManyShares,
    TooMuchMoney,
)
from trades.controls import Kind, rules
from web.templatetags.figures import usd

DURING_A_HALT = (
    "You cannot place new trades until it resumes. Trades that you placed earlier wait, and you can cancel them."
)


@dataclass(frozen=True, slots=True)
class Halt:
    """What is halted, and what that means for the customer."""

    what: str
    meaning: str

    def __str__(self) -> str:
        return f"{self.what} {self.meaning}"


def halt_of(customer_id: int, ticker: str = "") -> Halt | None:
    """Return the halt that a customer's page must show, or None.

    Args:
        customer_id: The customer that the page is for.
        ticker: The stock that the page is about, if any.
    """
    current = rules()
    if current.all_halted:
        return Halt("Trading is halted.", DURING_A_HALT)
    if customer_id in current.halted_customers:
        return Halt("Your trading is frozen.", f"{DURING_A_HALT} Contact support to learn why.")
    if ticker in current.halted_tickers:
        return Halt(f"Trading in {ticker} is halted.", DURING_A_HALT)
    if ticker in current.restricted_tickers:
        return Halt(f"{ticker} cannot be traded here.", "New trades in it are refused.")
    return None


def explain_refusal(error: PlacingRefused, customer_id: int, ticker: str) -> tuple[str | None, str]:
    """Return the field of the ticket that caused a refusal (None if none did), and a sentence that explains it."""
    current = rules()
    if isinstance(error, TooManyShares):
        maximum = current.limit(Kind.SHARES_MAX, customer_id)
        return (
            "quantity",
            f"One trade can be for {maximum:,.0f} shares at most." if maximum else "Too many for one trade.",
        )
    if isinstance(error, TooMuchMoney):
        maximum = current.limit(Kind.NOTIONAL_MAX, customer_id)
        return (
            "quantity",
            f"One trade can be worth {usd(maximum)} at most." if maximum else "Worth too much for one trade.",
        )
    if isinstance(error, PriceUnknown):
        return None, "There is no price right now to check what this trade is worth. Try again in a moment."
    if isinstance(error, TooManyOrders):
        maximum = current.limit(Kind.ORDERS_A_MINUTE_MAX, customer_id)
        return None, f"Too many trades: your limit is {maximum or 0:,.0f} per minute. Try again shortly."
    if isinstance(error, LineTooLong):
        return None, ("You have too many open trades. Nothing was placed: wait for some to finish, or cancel them.")
    if isinstance(error, Overloaded):
        return None, "We are receiving more trades than we can take. Nothing was placed: try again in a moment."
    return None, str(halt_of(customer_id, ticker) or "Trading was halted just now. Nothing was placed: try again.")
