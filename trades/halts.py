"""What staff has halted, restricted or limited, and what is too much for now, in a customer's words."""

from dataclasses import dataclass

from trades.checks import (
    Kind,
    LineTooLong,
    Overloaded,
    PlacingRefused,
    PriceUnknown,
    TooManyOrders,
    TooManyShares,
    TooMuchMoney,
    rules,
)
from web.templatetags.figures import usd

MEANWHILE = "New trades are refused until it resumes. Those that you placed before wait, and you can cancel them."


@dataclass(frozen=True, slots=True)
class Halt:
    """What is halted, and what that means."""

    what: str
    meaning: str

    def __str__(self) -> str:
        return f"{self.what} {self.meaning}"


def halt_of(customer_id: int, ticker: str = "") -> Halt | None:
    """What a page of this customer is to say first, of this stock or of none; None where trading goes on."""
    now = rules()
    if now.all_halted:
        return Halt("Trading is halted.", MEANWHILE)
    if customer_id in now.halted_customers:
        return Halt("Your trading is frozen.", f"{MEANWHILE} Ask support why.")
    if ticker in now.halted_tickers:
        return Halt(f"Trading of {ticker} is halted.", MEANWHILE)
    if ticker in now.restricted_tickers:
        return Halt(f"{ticker} may not be traded here.", "New trades of it are refused.")
    return None


def refusal(error: PlacingRefused, customer_id: int, ticker: str) -> tuple[str | None, str]:
    """Why a ticket is refused: the field at fault if it is one, and a sentence."""
    now = rules()
    if isinstance(error, TooManyShares):
        most = now.limit(Kind.SHARES_MAX, customer_id)
        return "quantity", f"One trade is of {most:,.0f} shares at most." if most else "Too many for one trade."
    if isinstance(error, TooMuchMoney):
        most = now.limit(Kind.NOTIONAL_MAX, customer_id)
        return "quantity", f"One trade is worth {usd(most)} at most." if most else "Worth too much for one trade."
    if isinstance(error, PriceUnknown):
        return None, "There is no price right now to check what the trade is worth. Try again in a moment."
    if isinstance(error, TooManyOrders):
        most = now.limit(Kind.ORDERS_A_MINUTE_MAX, customer_id)
        return None, f"That is more than {most or 0:,.0f} in a minute, as many as you may place. Try again shortly."
    if isinstance(error, LineTooLong):
        return None, "As many of your trades wait as may. Nothing was placed: try again when some of them have ended."
    if isinstance(error, Overloaded):
        return None, "More trades come in right now than can be taken. Nothing was placed: try again in a moment."
    return None, str(
        halt_of(customer_id, ticker) or "Trading was halted at that moment. Nothing was placed: try again."
    )
