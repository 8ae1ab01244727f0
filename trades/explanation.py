"""Explain to staff and operators, in one sentence, why a trade has its status."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from django.utils import timezone

from exchange import market
from trades.controls import rules
from trades.models import Outcome, Reason, Report, Status, Trade, Type

AHEAD_MAX = 1000  # the most trades ahead of a trade that are counted


def explain(trade: Trade, reports: Sequence[Report]) -> str:
    """Return a sentence that says why the trade has its status.

    Args:
        trade: The trade.
        reports: The reports about it, oldest first.
    """
    now, halted = timezone.now(), rules().halt_reason(trade.customer_id, trade.ticker)
    if trade.status == Status.PLACED:
        return _explain_placed(trade, now, halted)
    if trade.status == Status.IN_PROGRESS:
        return _explain_in_progress(trade, now, reports, halted)
    if trade.status == Status.FILLED:
        return f"The exchange executed it at {trade.price:,.2f} USD per share, {trade.amount:,.2f} USD in total."
    return _explain_rejected(trade)


def trades_ahead(trade: Trade) -> tuple[Trade | None, int]:
    """Return the customer's trade in flight, and the number of PLACED trades ahead of this one, at most AHEAD_MAX."""
    if trade.status != Status.PLACED:
        return None, 0
    own = Trade.objects.filter(customer_id=trade.customer_id)
    ahead = own.filter(status=Status.PLACED, sequence__lt=trade.sequence).order_by("-sequence")[:AHEAD_MAX]
    return own.filter(status=Status.IN_PROGRESS).first(), len(ahead.values_list("id"))


def _explain_placed(trade: Trade, now: datetime, halted: str) -> str:
    waited = age_in_words(now - trade.placed_at)
    in_flight, ahead = trades_ahead(trade)
    if in_flight:
        others = f", and {_count(ahead, 'other')} ahead of it" if ahead else ""
        return f"It waits for the customer's trade in flight ({in_flight}, IN PROGRESS){others}; placed {waited} ago."
    if trade.queued_at and not ahead and not market.is_open():
        return f"It is queued until the market opens; placed {waited} ago."
    if halted:
        return f"No lane claims it, because {halted}; placed {waited} ago."
    if ahead:
        return f"It waits for {_count(ahead, 'trade')} that the customer placed before it; placed {waited} ago."
    if now - trade.placed_at < timedelta(seconds=2):
        return "It was placed just now, and its lane has been rung."
    return f"It is next in line, but no lane has taken a turn for this customer in {waited}: ring the lane."


def _explain_in_progress(trade: Trade, now: datetime, reports: Sequence[Report], halted: str) -> str:
    out = age_in_words(now - (trade.claimed_at or trade.placed_at))
    if any(report.outcome == Outcome.WAITING for report in reports):
        return "The exchange has reported on it, and the customer's next turn will settle the report."
    in_review = [report for report in reports if report.outcome in {Outcome.BREAKS_TERMS, Outcome.MALFORMED}]
    if in_review:
        wrong = in_review[-1].reason or in_review[-1].get_outcome_display()
        return f"The exchange's report cannot be settled ({wrong}) and needs manual review."
    if trade.expires_at and now > trade.expires_at:
        return (
            f"It was sent {out} ago and has expired, but the exchange has not said yet whether it executed it. "
            "The sweep keeps asking."
        )
    halt_note = f" Because {halted}, it is not sent again." if halted else ""
    return f"It was sent to the exchange {out} ago, and the exchange has not reported on it yet.{halt_note}"


def _explain_rejected(trade: Trade) -> str:
    was_sent = trade.claimed_at is not None
    if trade.reason_code == Reason.INSUFFICIENT_FUNDS and not was_sent:
        return "No cash was available when its turn came, so it was never sent to the exchange."
    if trade.reason_code == Reason.UNSETTLED_FUNDS:
        return "After good-faith violations the account buys with settled cash only, and too little cash had settled."
    if trade.reason_code == Reason.INSUFFICIENT_SHARES and not was_sent:
        return "Too few shares were available when its turn came, so it was never sent to the exchange."
    if trade.reason_code == Reason.CANCELLED:
        return "It was cancelled before it was sent to the exchange."
    what = "shares are" if trade.type == Type.SELL else "cash is"
    if trade.reason_code == Reason.EXPIRED:
        return f"The exchange did not get it in time: {trade.reason} Its {what} available again."
    return f"The exchange rejected it: {trade.reason or trade.reason_code} Its {what} available again."


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def age_in_words(age: timedelta) -> str:
    """Return an age in words: 4 s, 3 min, 2 h, 5 days."""
    seconds = max(0, int(age.total_seconds()))
    for size, name in ((86_400, "days"), (3_600, "h"), (60, "min")):
        if seconds >= size * (2 if name == "days" else 1):
            return f"{seconds // size} {name}"
    return f"{seconds} s"
