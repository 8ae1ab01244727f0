"""Template filters that show customers how their trades ended."""

from django import template

from exchange import market
from trades.models import Reason, Status, Trade

register = template.Library()

REASONS_FOR_CUSTOMERS = {
    Reason.INSUFFICIENT_FUNDS: "You did not have enough cash for it when its turn came.",
    Reason.UNSETTLED_FUNDS: "Too little of your cash had settled. Your account buys with settled cash only for now.",
    Reason.INSUFFICIENT_SHARES: "You did not have enough shares for it when its turn came.",
    Reason.PAST_MARKET_HOURS: "The market was closed.",
    Reason.EXCHANGE_ERROR: "The exchange could not execute it.",
    Reason.UNKNOWN_TICKER: "The exchange does not list this stock.",
    Reason.TICKER_HALTED: "Trading in this stock was halted.",
    Reason.EXPIRED: "The exchange did not execute it in time. It will not be executed anymore.",
    Reason.CANCELLED: "You cancelled it before it was sent.",
}


@register.filter
def reason(trade: Trade) -> str:
    """Return why a trade was rejected, as a sentence for its customer; empty unless it was."""
    code = trade.reason_code
    return REASONS_FOR_CUSTOMERS.get(Reason(code), trade.reason) if code else ""


@register.filter
def status_word(trade: Trade) -> str:
    """Return the status of a trade as customers see it.

    That is CANCELLED if they cancelled it themselves, and “Queued for the open” while it waits for the market to open.
    """
    if trade.reason_code == Reason.CANCELLED:
        return "CANCELLED"
    return "Queued for the open" if is_queued(trade) else trade.status


@register.filter
def is_queued(trade: Trade) -> bool:
    """Return whether the trade waits for the market to open."""
    return trade.status == Status.PLACED and trade.queued_at is not None and not market.is_open()
