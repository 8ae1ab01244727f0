"""Execute: send trades to the exchange, after the commit that made them IN PROGRESS and never inside a transaction."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import structlog
from uuid_utils import uuid4

from exchange import calls, gateway
from exchange.messages import Order, Refusal, Unknown
from exchange.models import Call
from trades import asking
from trades.models import Report, Status, Trade
from trades.report import store_reports

TRADES_PER_CALL_MAX = 100  # the exchange accepts no more

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class ExecuteResult:
    """The result of one call of Execute. `reports` has the trades that it refused; None if the outcome is unknown."""

    trades: Sequence[Trade]
    call: Call
    reports: list[dict[str, Any]] | None


def execute(trades: Sequence[Trade]) -> None:
    """Send these IN PROGRESS trades to the exchange, with the terms that were fixed when they were claimed.

    If the exchange gives no valid answer, the trades stay IN PROGRESS and the sweep asks about them. If it refuses a
    trade, it will never execute it, and the refusal is stored as a report.

    Idempotent: yes. The exchange executes each id only once.
    """
    for start in range(0, len(trades), TRADES_PER_CALL_MAX):
        store_results([send(trades[start : start + TRADES_PER_CALL_MAX])])


def send(trades: Sequence[Trade], *, is_probe: bool = False) -> ExecuteResult:
    """Make one call of Execute, without touching the database.

    The call and its log lines have the same request id, so that they can be found in the exchange's log.

    Args:
        trades: 1 to TRADES_PER_CALL_MAX.
        is_probe: Send them even if the exchange has failed recently, because the caller has just heard from it.
    """
    with structlog.contextvars.bound_contextvars(request=str(uuid4())):
        return _send(trades, is_probe)


def _send(trades: Sequence[Trade], is_probe: bool) -> ExecuteResult:
    by_id = {trade.id: trade for trade in trades}
    ids = list(map(str, by_id))
    call = calls.begin(calls.EXECUTE, by_id)
    try:
        refusals = gateway.execute([_order(trade) for trade in trades], is_probe=is_probe)
    except Unknown as unknown:
        log.warning("execute: outcome unknown; the sweep will ask", trades=ids, seen=str(unknown))
        return ExecuteResult(trades, call.unknown(str(unknown)), None)
    log.info("executed", trades=ids, refused=len(refusals))
    for refusal in refusals:
        if refusal.code == "conflict":
            log.error("exchange has this id with other terms; the sweep will ask", trade=str(refusal.trade_id))
    answered = call.answered({str(refusal.trade_id): refusal.code for refusal in refusals})
    refused = [_report_of(by_id[refusal.trade_id], refusal) for refusal in refusals if refusal.code != "conflict"]
    return ExecuteResult(trades, answered, refused)


def store_results(sent: Sequence[ExecuteResult]) -> None:
    """Store the results of calls of Execute. The sweep asks about trades with an unknown outcome in its next round."""
    calls.record(result.call for result in sent)
    store_reports([report for result in sent for report in result.reports or ()], Report.Source.ANSWER)
    asking.ask_at_once([trade.id for result in sent if result.reports is None for trade in result.trades])


def _order(trade: Trade) -> Order:
    if trade.expires_at is None:
        raise ValueError(f"{trade.id} was not claimed")
    return Order(trade.id, trade.ticker, trade.type, trade.quantity, trade.max_price, trade.expires_at)


def _report_of(trade: Trade, refusal: Refusal) -> dict[str, Any]:
    return rejection_report(trade, refusal.code, f"The exchange refused it: {refusal.code}.")


def rejection_report(trade: Trade, reason_code: str, reason: str) -> dict[str, Any]:
    """Return a report, in the format of the protocol, that the exchange has not executed this trade and never will."""
    return {
        "tradeId": str(trade.id),
        "status": Status.REJECTED.value,
        "stockTicker": trade.ticker,
        "type": trade.type,
        "quantity": trade.quantity,
        "price": None,
        "amount": None,
        "reason": reason,
        "reasonCode": reason_code,
        "executionId": None,
        "executedAt": None,
    }
