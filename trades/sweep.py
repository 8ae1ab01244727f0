"""The sweep: the periodic search for whatever was missed. It makes "no trade is ever stuck" true.

Any number of sweeps may run; no two work on the same trade at once. Rings can get lost, processes can die between a
commit and the call that follows it, the exchange can be silent: all of it shows in the rows, which the sweep reads.
"""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import structlog

from exchange import calls, gateway
from exchange.messages import Unknown
from trades import queries
from trades.controls import rules
from trades.execute import execute, rejection
from trades.lane import CUSTOMERS_PER_TURN_MAX, ring
from trades.models import Reason, Report, Status, Trade
from trades.report import store_reports
from trades.turn import ASK_AFTER_SECONDS, take_turn

RING_AFTER_SECONDS = 2  # a customer whose turn is due for this long is rung for again
ACT_AFTER_SECONDS = 3  # after this long the sweep takes the turn itself: the broker or the lanes are away
CUSTOMERS_PER_SWEEP_MAX = 1_000
QUESTIONS_PER_SWEEP_MAX = 200
QUESTIONS_AT_ONCE = 8
UNANSWERED_MAX = 3  # questions without an answer, after which the exchange is left alone until the next sweep
EXPIRY_MARGIN_SECONDS = 5  # how far the exchange's clock may be behind ours

log = structlog.get_logger()


def ring_for_waiting(by: str) -> int:
    """Ring for the customers whose turn is due and has not been taken.

    Takes the turn here where a customer has waited long although rung for, and where the broker is away.

    Idempotent: yes.

    Args:
        by: The process, for the trades' history.

    Returns:
        How many customers there were.
    """
    due = queries.due_customers(rules(), after_seconds=RING_AFTER_SECONDS, limit=CUSTOMERS_PER_SWEEP_MAX)
    is_rung = ring([customer.customer_id for customer in due])
    unserved = [customer.customer_id for customer in due if customer.seconds > ACT_AFTER_SECONDS or not is_rung]
    if unserved:
        log.warning("lanes did not come; the sweep takes the turn", customers=len(unserved))
        take_turn(sorted(unserved[:CUSTOMERS_PER_TURN_MAX]), by)
    return len(due)


def ask_exchange() -> int:
    """Ask the exchange about trades that have been out for too long (TradeExists).

    A final report is stored. A trade that the exchange does not know is executed again, with the same id, unless it is
    halted. Once `expires_at` and a margin have passed, the exchange not knowing the trade ends it as expired.

    Returns:
        How many trades were asked about.
    """
    due = list(Trade.objects.raw(DUE, [ASK_AFTER_SECONDS, QUESTIONS_PER_SWEEP_MAX, EXPIRY_MARGIN_SECONDS]))
    if not due:
        return 0
    answers = _ask_about(due)
    log.info(
        "asked the exchange",
        trades=[str(trade.id) for trade in due],
        final=len(answers.reports),
        executed_again=len(answers.unknown_there),
        unanswered=answers.unanswered,
    )
    return len(due)


def ask_now(trade_id: UUID) -> str:
    """Ask the exchange about one trade, and go on as after a sweep's question.

    About a PLACED or a final trade it is only asked; a final report is then stored and judged by the next turn.

    Returns:
        What the exchange said, in a word or two.

    Raises:
        Unknown: It gave no answer that can be trusted.
    """
    asked = list(Trade.objects.raw(TAKE_ONE, [ASK_AFTER_SECONDS, trade_id, EXPIRY_MARGIN_SECONDS]))
    if asked:
        (call,) = _ask_about(asked).made
        if call.outcome == calls.UNKNOWN:
            raise Unknown(call.seen)
        return str(call.answers[str(trade_id)])
    begun = calls.begin(calls.ASK, [trade_id])
    try:
        report = gateway.ask(trade_id)
    except Unknown as unknown:
        calls.keep([begun.unknown(str(unknown))])
        raise
    calls.keep([begun.answered({str(trade_id): calls.said(report)})])
    if report is not None and report.get("status") != "ACCEPTED" and not _is_placed(trade_id):
        store_reports([report], Report.Source.SWEEP)
    return calls.said(report)


def _is_placed(trade_id: UUID) -> bool:
    return Trade.objects.filter(id=trade_id, status=Status.PLACED).exists()


def _ask_about(due: list[Any]) -> "_Answers":
    answers = _Answers()
    with ThreadPoolExecutor(QUESTIONS_AT_ONCE, "ask") as pool:
        list(pool.map(answers.ask, due))
    calls.keep(answers.made)
    store_reports(answers.reports, Report.Source.SWEEP)
    now = rules()
    execute([trade for trade in answers.unknown_there if not now.halt(trade.customer_id, trade.ticker)])
    return answers


@dataclass
class _Answers:
    """What came of one sweep's questions. Threads share it: its lists are only appended to."""

    reports: list[dict[str, Any]] = field(default_factory=list)
    unknown_there: list[Trade] = field(default_factory=list)
    unanswered: int = 0
    made: list[calls.Call] = field(default_factory=list)

    def ask(self, trade: Any) -> None:
        if self.unanswered >= UNANSWERED_MAX:
            return
        call = calls.begin(calls.ASK, [trade.id])
        try:
            report = gateway.ask(trade.id)
        except Unknown as unknown:
            self.unanswered += 1
            self.made.append(call.unknown(str(unknown)))
            return
        self.made.append(call.answered({str(trade.id): calls.said(report)}))
        if report is None and trade.is_past:
            self.reports.append(rejection(trade, Reason.EXPIRED, "The exchange did not get the trade in time."))
        elif report is None and trade.is_live:
            self.unknown_there.append(trade)
        elif report is not None and report.get("status") != "ACCEPTED":
            self.reports.append(report)


# Taking a trade moves its next time, so that no two sweeps ask about it at once. A sweep that dies only delays it.
DUE = """
    UPDATE trades_trade SET ask_at = now() + make_interval(secs => %s)
    WHERE id IN (
        SELECT id FROM trades_trade WHERE status = 'IN PROGRESS' AND ask_at < now()
        ORDER BY ask_at LIMIT %s FOR UPDATE SKIP LOCKED)
    RETURNING *, expires_at < now() - make_interval(secs => %s) AS is_past, expires_at > now() AS is_live
"""
# The same for one trade, whether it is due or not.
TAKE_ONE = """
    UPDATE trades_trade SET ask_at = now() + make_interval(secs => %s)
    WHERE id = %s AND status = 'IN PROGRESS'
    RETURNING *, expires_at < now() - make_interval(secs => %s) AS is_past, expires_at > now() AS is_live
"""
