"""The sweep: the periodic look for whatever was missed. It is what makes "no trade is ever stuck" true.

Any number of sweeps may run; each takes what no other is at. Rings can be lost, processes can die between a commit and
the call that follows it, the exchange can be silent: the rows show it, and the sweep reads the rows.
"""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import structlog
from django.db import connection

from exchange import calls, gateway
from exchange.messages import Unknown
from trades import checks
from trades.execute import execute, rejection
from trades.lane import CUSTOMERS_A_TURN_MAX, ring
from trades.models import Reason, Report, Status, Trade
from trades.report import record
from trades.turn import ASK_AFTER_SECONDS, take_turn

RING_AFTER_SECONDS = 2  # somebody who has waited this long is rung for again
ACT_AFTER_SECONDS = 3  # and after this long the sweep takes the turn itself: broker or lanes are away
CUSTOMERS_A_SWEEP_MAX = 1_000
QUESTIONS_A_SWEEP_MAX = 200
QUESTIONS_AT_ONCE = 8
UNANSWERED_MAX = 3  # questions without an answer, after which the exchange is left alone until the next sweep
EXPIRY_MARGIN_SECONDS = 5  # how far the exchange's clock may be behind ours

log = structlog.get_logger()


def ring_for_waiting(by: str) -> int:
    """Ring for customers with a trade to claim or a report to settle that nobody came for; how many there were.

    For those who wait although they were rung for, and for all where nobody can be rung, the turn is taken here. Again:
    the same, harmlessly.
    """
    rules = checks.rules()
    with connection.cursor() as cursor:
        cursor.execute(
            WAITING,
            {
                "act_after": ACT_AFTER_SECONDS,
                "ring_after": RING_AFTER_SECONDS,
                "customers_max": CUSTOMERS_A_SWEEP_MAX,
                "all_halted": rules.all_halted,
                "halted_customers": list(rules.halted_customers),
                "halted_tickers": list(rules.halted_tickers),
            },
        )
        waiting = cursor.fetchall()
    is_rung = ring([customer_id for customer_id, _ in waiting])
    if unserved := [customer_id for customer_id, too_long in waiting if too_long or not is_rung]:
        log.warning("lanes did not come; the sweep takes the turn", customers=len(unserved))
        take_turn(sorted(unserved[:CUSTOMERS_A_TURN_MAX]), by)
    return len(waiting)


def ask_exchange() -> int:
    """Ask the exchange about trades that have been out for too long (TradeExists); how many were asked about.

    A final report is recorded. A trade that the exchange does not know is executed again, with the same id; once
    `expires_at` and a margin have passed, its word that it does not know it ends the trade as expired. While trading
    is halted nothing is executed again.
    """
    due = list(Trade.objects.raw(DUE, [ASK_AFTER_SECONDS, QUESTIONS_A_SWEEP_MAX, EXPIRY_MARGIN_SECONDS]))
    if not due:
        return 0
    round = _ask_about(due)
    log.info(
        "asked the exchange",
        trades=[str(trade.id) for trade in due],
        final=len(round.reports),
        executed_again=len(round.unknown_there),
        unanswered=round.unanswered,
    )
    return len(due)


def ask_now(trade_id: UUID) -> str:
    """Ask the exchange about one trade; what it said, in a word or two. It goes on as after a sweep's question.

    About a trade that is PLACED or final it is only asked; a final report is then kept, and judged by the next turn.
    Raises Unknown.
    """
    asked = list(Trade.objects.raw(ASKED_NOW, [ASK_AFTER_SECONDS, trade_id, EXPIRY_MARGIN_SECONDS]))
    if asked:
        round = _ask_about(asked)
        (call,) = round.made
        if call.outcome == calls.UNKNOWN:
            raise Unknown(call.seen)
        return call.answers[str(trade_id)]
    begun = calls.begin(calls.ASK, [trade_id])
    try:
        report = gateway.ask(trade_id)
    except Unknown as unknown:
        calls.keep([begun.unknown(str(unknown))])
        raise
    calls.keep([begun.answered({str(trade_id): calls.said(report)})])
    if report is not None and report.get("status") != "ACCEPTED" and not _is_placed(trade_id):
        record([report], Report.Source.SWEEP)
    return calls.said(report)


def _is_placed(trade_id: UUID) -> bool:
    return Trade.objects.filter(id=trade_id, status=Status.PLACED).exists()


def _ask_about(due: list[Any]) -> "_Round":
    round = _Round()
    with ThreadPoolExecutor(QUESTIONS_AT_ONCE, "ask") as pool:
        list(pool.map(round.ask, due))
    calls.keep(round.made)
    record(round.reports, Report.Source.SWEEP)
    rules = checks.rules()
    execute([trade for trade in round.unknown_there if not rules.halt(trade.customer_id, trade.ticker)])
    return round


@dataclass
class _Round:
    """What came of one sweep's questions. Its lists are only appended to, so threads may share it."""

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


# Both parts read only partial indexes over what is open: the cost does not grow with finished trades.
WAITING = """
    SELECT customer_id, min(since) < now() - make_interval(secs => %(act_after)s) AS too_long FROM (
        SELECT customer_id, placed_at AS since FROM trades_trade AS t
        WHERE status = 'PLACED' AND placed_at < now() - make_interval(secs => %(ring_after)s) AND NOT EXISTS (
            SELECT FROM trades_trade AS f WHERE f.customer_id = t.customer_id AND f.status = 'IN PROGRESS')
        AND NOT %(all_halted)s AND t.customer_id <> ALL (%(halted_customers)s::bigint[]) AND NOT EXISTS (
            SELECT FROM trades_trade AS h WHERE h.customer_id = t.customer_id AND h.status = 'PLACED'
            AND h.sequence <= t.sequence AND h.ticker = ANY (%(halted_tickers)s::text[]))
        UNION ALL
        SELECT customer_id, received_at FROM trades_report
        WHERE outcome = 'waiting' AND received_at < now() - make_interval(secs => %(ring_after)s)
    ) AS waiting
    GROUP BY customer_id ORDER BY min(since) LIMIT %(customers_max)s
"""
# Taking a question moves its next time, so that two sweeps never ask the same; a sweep that dies only delays it.
DUE = """
    UPDATE trades_trade SET ask_at = now() + make_interval(secs => %s)
    WHERE id IN (
        SELECT id FROM trades_trade WHERE status = 'IN PROGRESS' AND ask_at < now()
        ORDER BY ask_at LIMIT %s FOR UPDATE SKIP LOCKED)
    RETURNING *, expires_at < now() - make_interval(secs => %s) AS is_past, expires_at > now() AS is_live
"""
# The same of one trade, whenever it is due.
ASKED_NOW = """
    UPDATE trades_trade SET ask_at = now() + make_interval(secs => %s)
    WHERE id = %s AND status = 'IN PROGRESS'
    RETURNING *, expires_at < now() - make_interval(secs => %s) AS is_past, expires_at > now() AS is_live
"""
