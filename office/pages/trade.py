"""The page of a trade."""

import json
from typing import Any

from accounts.models import CASH, Balance, Position, Posting
from exchange.models import Call
from office.models import Case
from trades.explanation import explain, trades_ahead
from trades.lane import lane_of
from trades.models import Report, Status, StatusChange, Trade, Type

ROWS_MAX = 200


def facts(trade: Trade) -> dict[str, Any]:
    """Return the data of the page. It takes about ten queries, each served by an index."""
    reports = list(Report.objects.filter(trade_id=trade.id).order_by("id")[:ROWS_MAX])
    in_flight, ahead = trades_ahead(trade)
    return {
        "trade": trade,
        "lane": lane_of(trade.customer_id),
        "ahead": ahead,
        "in_flight": in_flight,
        "hold": _hold(trade),
        "why": explain(trade, reports),
        "status_changes": list(StatusChange.objects.filter(trade=trade).order_by("id")),
        "postings": list(Posting.objects.filter(cause=trade.id).order_by("id")),
        "reports": [(report, _pretty(report.body)) for report in reports],
        "calls": [(call, _answer(call, trade)) for call in _calls(trade)],
        "cases": list(Case.objects.filter(trade_id=trade.id).select_related("owner").order_by("-id")[:ROWS_MAX]),
        "balance": Balance.objects.filter(customer_id=trade.customer_id).first(),
        "position": Position.objects.filter(customer_id=trade.customer_id, ticker=trade.ticker).first(),
        "CASH": CASH,
    }


def _hold(trade: Trade) -> str:
    if trade.status != Status.IN_PROGRESS:
        return "nothing"
    return f"{trade.hold:,.4f} USD" if trade.type == Type.BUY else f"{trade.quantity} {trade.ticker}"


def _calls(trade: Trade) -> list[Call]:
    # Sort in Python: to sort, the database might scan all calls by time instead of using the index of trade ids.
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
