"""Execute: hand trades to the exchange, after the commit that made them IN PROGRESS and never inside a transaction."""

from collections.abc import Sequence
from typing import Any

import structlog

from exchange import calls, gateway
from exchange.messages import Order, Refusal, Unknown
from trades.models import Report, Status, Trade
from trades.report import store_reports

TRADES_PER_CALL_MAX = 100  # what the exchange takes at once

log = structlog.get_logger()


def execute(trades: Sequence[Trade]) -> None:
    """Hand these IN PROGRESS trades to the exchange, with the terms that were fixed when they were claimed.

    Without an answer that makes sense, a trade stays IN PROGRESS and the sweep asks what became of it. A refusal is the
    exchange's word that it never will execute the trade, and is stored as a report.

    Idempotent: yes. The exchange executes an id once.
    """
    for start in range(0, len(trades), TRADES_PER_CALL_MAX):
        batch = {trade.id: trade for trade in trades[start : start + TRADES_PER_CALL_MAX]}
        call = calls.begin(calls.EXECUTE, batch)
        try:
            refusals = gateway.execute([_order(trade) for trade in batch.values()])
        except Unknown as unknown:
            calls.keep([call.unknown(str(unknown))])
            log.warning("execute: outcome unknown; the sweep will ask", trades=list(map(str, batch)), seen=str(unknown))
            continue
        log.info("executed", trades=list(map(str, batch)), refused=len(refusals))
        calls.keep([call.answered({str(refusal.trade_id): refusal.code for refusal in refusals})])
        for refusal in refusals:
            if refusal.code == "conflict":
                log.error("exchange has this id with other terms; the sweep will ask", trade=str(refusal.trade_id))
        store_reports(
            [_report_of(batch[refusal.trade_id], refusal) for refusal in refusals if refusal.code != "conflict"],
            Report.Source.ANSWER,
        )


def _order(trade: Trade) -> Order:
    if trade.expires_at is None:
        raise ValueError(f"{trade.id} was not claimed")
    return Order(trade.id, trade.ticker, trade.type, trade.quantity, trade.max_price, trade.expires_at)


def _report_of(trade: Trade, refusal: Refusal) -> dict[str, Any]:
    return rejection(trade, refusal.code, f"The exchange refused it: {refusal.code}.")


def rejection(trade: Trade, reason_code: str, reason: str) -> dict[str, Any]:
    """Return a report in the protocol's form: the exchange has not executed this trade and never will."""
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
