"""The page of a trade."""

import json
from typing import Any

from django.utils import timezone

from accounts.models import CASH, Balance, Position, Posting
from exchange.models import Call
from office.models import Case
from office.why import why
from trades.controls import rules
from trades.lane import lane_of
from trades.models import Report, Status, StatusChange, Trade, Type

ROWS_MAX = 200
AHEAD_MAX = 1000


def facts(trade: Trade) -> dict[str, Any]:
    """Return what the page shows, from about ten statements that are each served by an index."""
    reports = list(Report.objects.filter(trade_id=trade.id).order_by("id")[:ROWS_MAX])
    in_flight, ahead = _line(trade)
    return {
        "trade": trade,
        "lane": lane_of(trade.customer_id),
        "ahead": ahead,
        "in_flight": in_flight,
        "hold": _hold(trade),
        "why": why(
            trade,
            now=timezone.now(),
            ahead=ahead,
            in_flight=in_flight,
            halted=rules().halted(trade.customer_id, trade.ticker),
            reports=reports,
        ),
        "status_changes": list(StatusChange.objects.filter(trade=trade).order_by("id")),
        "postings": list(Posting.objects.filter(cause=trade.id).order_by("id")),
        "reports": [(report, _pretty(report.body)) for report in reports],
        "calls": [(call, _answer(call, trade)) for call in _calls(trade)],
        "cases": list(Case.objects.filter(trade_id=trade.id).select_related("owner").order_by("-id")[:ROWS_MAX]),
        "balance": Balance.objects.filter(customer_id=trade.customer_id).first(),
        "position": Position.objects.filter(customer_id=trade.customer_id, ticker=trade.ticker).first(),
        "CASH": CASH,
    }


def _line(trade: Trade) -> tuple[Trade | None, int]:
    """The customer's trade in flight, and how many PLACED trades come before this one, AHEAD_MAX at most."""
    if trade.status != Status.PLACED:
        return None, 0
    own = Trade.objects.filter(customer_id=trade.customer_id)
    ahead = own.filter(status=Status.PLACED, sequence__lt=trade.sequence).order_by("-sequence")[:AHEAD_MAX]
    return own.filter(status=Status.IN_PROGRESS).first(), len(ahead.values_list("id"))


def _hold(trade: Trade) -> str:
    if trade.status != Status.IN_PROGRESS:
        return "nothing"
    return f"{trade.hold:,.4f} USD" if trade.type == Type.BUY else f"{trade.quantity} {trade.ticker}"


def _calls(trade: Trade) -> list[Call]:
    # Sorted here: if the database sorted, it might walk all calls by time instead of using the index of trade ids.
    calls = list(Call.objects.filter(trade_ids__contains=[trade.id])[:ROWS_MAX])
    return sorted(calls, key=lambda call: call.id)


def _answer(call: Call, trade: Trade) -> str:
    if call.outcome == Call.Outcome.UNKNOWN:
        return call.seen
    return str(call.answers.get(str(trade.id), "accepted"))


def _pretty(body: str) -> str:
    try:
        return json.dumps(json.loads(body), indent=2, ensure_ascii=False)
    except (ValueError, RecursionError):
        return body
