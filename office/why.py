"""Why a trade is in the state it is in, in a sentence."""

from datetime import datetime, timedelta

from trades.models import Outcome, Reason, Report, Status, Trade, Type


def why(trade: Trade, *, now: datetime, ahead: int, in_flight: Trade | None, halted: str, reports: list[Report]) -> str:
    """The sentence. ahead: PLACED trades of the customer before it; halted: what staff halted that concerns it."""
    if trade.status == Status.PLACED:
        return _why_placed(trade, now, ahead, in_flight, halted)
    if trade.status == Status.IN_PROGRESS:
        return _why_in_progress(trade, now, reports, halted)
    if trade.status == Status.FILLED:
        return f"The exchange executed it at {trade.price:,.2f} USD a share, {trade.amount:,.2f} USD in all."
    return _why_rejected(trade)


def _why_placed(trade: Trade, now: datetime, ahead: int, in_flight: Trade | None, halted: str) -> str:
    waited = words(now - trade.placed_at)
    if in_flight:
        others = f", {_count(ahead, 'other')} before it" if ahead else ""
        return f"It waits for the customer's trade in flight ({in_flight}, IN PROGRESS){others}; placed {waited} ago."
    if halted:
        return f"No lane takes it, because {halted}; placed {waited} ago."
    if ahead:
        return f"It waits for {_count(ahead, 'trade')} that the customer placed before it; placed {waited} ago."
    if now - trade.placed_at < timedelta(seconds=2):
        return "It was placed just now, and its lane has been rung."
    return f"It is next in line, but for {waited} no lane has taken a turn for this customer: ring the lane."


def _why_in_progress(trade: Trade, now: datetime, reports: list[Report], halted: str) -> str:
    out = words(now - (trade.claimed_at or trade.placed_at))
    if any(report.outcome == Outcome.WAITING for report in reports):
        return "The exchange has reported on it, and the customer's lane has yet to settle that."
    odd = [report for report in reports if report.outcome in {Outcome.BREAKS_TERMS, Outcome.MALFORMED}]
    if odd:
        odd_is = odd[-1].reason or odd[-1].get_outcome_display()
        return f"The exchange's report can't be settled ({odd_is}): a person must look."
    if trade.expires_at and now > trade.expires_at:
        return (
            f"It has been out for {out} and has expired; the exchange has yet to say whether it executed it. "
            "The sweep keeps asking."
        )
    more = f" Meanwhile {halted}: it is not sent again." if halted else ""
    return f"It was handed to the exchange {out} ago, which has yet to report on it.{more}"


def _why_rejected(trade: Trade) -> str:
    here = {Reason.INSUFFICIENT_FUNDS, Reason.INSUFFICIENT_SHARES, Reason.CANCELLED}
    if trade.reason_code == Reason.INSUFFICIENT_FUNDS and trade.claimed_at is None:
        return "When its turn came no cash was available, so it was never sent to the exchange."
    if trade.reason_code == Reason.INSUFFICIENT_SHARES and trade.claimed_at is None:
        return "When its turn came too few shares were available, so it was never sent to the exchange."
    if trade.reason_code == Reason.CANCELLED:
        return "It was cancelled before it was sent to the exchange."
    who = (
        "It was refused here" if trade.reason_code in here and trade.claimed_at is None else "The exchange rejected it"
    )
    if trade.reason_code == Reason.EXPIRED:
        who = "The exchange did not get it in time"
    what = "shares are" if trade.type == Type.SELL else "cash is"
    return f"{who}: {trade.reason or trade.reason_code} Its {what} free again."


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def words(age: timedelta) -> str:
    """An age in words: 4 s, 3 min, 2 h, 5 days."""
    seconds = max(0, int(age.total_seconds()))
    for size, name in ((86_400, "days"), (3_600, "h"), (60, "min")):
        if seconds >= size * (2 if name == "days" else 1):
            return f"{seconds // size} {name}"
    return f"{seconds} s"
