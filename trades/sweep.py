"""The sweep: the periodic search for whatever was missed. It ensures that no trade is ever stuck.

Any number of sweeps may run; no two work on the same trade at once. Rings can get lost, processes can die between a
commit and the call that follows it, and the exchange can be silent. All of this shows in the rows that the sweep reads.
"""

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import structlog

from exchange import calls, gateway
from exchange.messages import Unknown
from exchange.models import Call
from trades import asking, queries
from trades.controls import Rules, rules
from trades.execute import ExecuteResult, rejection_report, send, store_results
from trades.lane import CUSTOMERS_PER_TURN_MAX, lane_of, ring
from trades.models import FINAL, Reason, Report, Status, Trade
from trades.report import store_reports
from trades.turn import take_turn

RING_AFTER_SECONDS = 2  # once a turn has been due for this long, the sweep rings its lane again
ACT_AFTER_SECONDS = 3  # once it has been due for this long, the sweep takes it: the broker or the lanes must be down
STAND_IN_SECONDS = 10  # how long it then takes the turns of that lane without waiting
CUSTOMERS_PER_SWEEP_MAX = 1_000
QUESTIONS_PER_SWEEP_MAX = 200
QUESTIONS_AT_ONCE = 8
UNANSWERED_MAX = 3  # after this many unanswered questions and not one answer, the exchange counts as down
ROUND_SECONDS_MAX = 10.0  # how long one round goes on asking
EXPIRY_MARGIN_SECONDS = 5  # after `expires_at`, by the exchange's time, because its hosts' clocks may differ

log = structlog.get_logger()
_stands_in_until: dict[int, float] = {}  # by lane, on the monotonic clock


def ring_for_waiting(by: str) -> int:
    """Ring for the customers whose turn is overdue.

    Takes the turn itself if a customer has waited for long even though the lane was rung, or if the broker is down.
    This process then stands in for the lane for a while (`stand_in`).

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
        log.warning("no lane took the turn; the sweep takes it", customers=len(unserved))
        _stands_in_until.update(dict.fromkeys(map(lane_of, unserved), time.monotonic() + STAND_IN_SECONDS))
        take_turn(sorted(unserved[:CUSTOMERS_PER_TURN_MAX]), by)
    return len(due)


def stand_in(by: str) -> int:
    """Take the turns that are due in the lanes that nobody served a moment ago, without waiting for them to be overdue.

    Otherwise every step of a trade would take ACT_AFTER_SECONDS there: the ring for its report is not heard either.

    Idempotent: yes. A lane that is served again loses nothing: the turn that comes second finds nothing to do.

    Args:
        by: The process, for the trades' history.

    Returns:
        How many customers there were.
    """
    lanes = {lane for lane, until in list(_stands_in_until.items()) if until > time.monotonic()}
    if not lanes:
        return 0
    due = queries.due_customers(rules(), limit=CUSTOMERS_PER_SWEEP_MAX)
    unserved = [customer.customer_id for customer in due if lane_of(customer.customer_id) in lanes]
    if unserved:
        take_turn(sorted(unserved[:CUSTOMERS_PER_TURN_MAX]), by)
    return len(unserved)


def forget() -> None:
    """Stand in for no lane anymore."""
    _stands_in_until.clear()


def ask_exchange() -> int:
    """Ask the exchange about trades that have been in flight for too long (TradeExists).

    A final report is stored. A trade that the exchange does not know is sent again with the same id, unless it is
    halted. Once `expires_at` and a margin have passed by the exchange's own clock, such a trade ends as expired.

    Returns:
        How many trades were due for a question.
    """
    due = asking.take_trades(QUESTIONS_PER_SWEEP_MAX)
    if due:
        _ask_about(due)
    return len(due)


def ask_now(trade_id: UUID) -> str:
    """Ask the exchange about one trade now, and act on the answer as a sweep would.

    For a final trade, only a final report has an effect: it is stored, and the next turn judges it. For a PLACED trade,
    the answer has no effect.

    Returns:
        The exchange's answer, in a word or two.

    Raises:
        Unknown: The exchange gave no trustworthy answer.
    """
    if taken := asking.take_trades(1, trade_id):
        call = _ask_about(taken).made_calls[0]
        if call.outcome == calls.UNKNOWN:
            raise Unknown(call.seen)
        return str(call.answers[str(trade_id)])
    begun = calls.begin(calls.ASK, [trade_id])
    try:
        report = gateway.ask(trade_id)
    except Unknown as unknown:
        calls.record([begun.unknown(str(unknown))])
        raise
    calls.record([begun.answered({str(trade_id): calls.status_of_report(report)})])
    if report is not None and report.get("status") in FINAL and not _is_placed(trade_id):
        store_reports([report], Report.Source.SWEEP)
    return calls.status_of_report(report)


def _is_placed(trade_id: UUID) -> bool:
    return Trade.objects.filter(id=trade_id, status=Status.PLACED).exists()


def _ask_about(due: list[Trade]) -> "_Round":
    round = _Round(rules())
    with ThreadPoolExecutor(QUESTIONS_AT_ONCE, "ask") as pool:
        list(pool.map(round.ask, due))
    calls.record(round.made_calls)
    store_reports(round.reports, Report.Source.SWEEP)
    store_results(round.sent)
    asking.note_answers(round.answered, round.not_asked)
    log.info(
        "asked the exchange",
        trades=[str(trade.id) for trade in due],
        final=len(round.reports),
        executed_again=len(round.sent),
        unanswered=round.unanswered,
        not_asked=len(round.not_asked),
    )
    return round


@dataclass
class _Round:
    """One sweep's questions and their answers. Threads share it: its lists are only appended to."""

    rules: Rules
    reports: list[dict[str, Any]] = field(default_factory=list)
    sent: list[ExecuteResult] = field(default_factory=list)
    made_calls: list[Call] = field(default_factory=list)
    answered: list[Trade] = field(default_factory=list)  # and still open
    not_asked: list[Trade] = field(default_factory=list)
    unanswered: int = 0
    has_answered: bool = False
    ends_at: float = field(default_factory=lambda: time.monotonic() + ROUND_SECONDS_MAX)

    def ask(self, trade: Trade) -> None:
        is_exchange_down = self.unanswered >= UNANSWERED_MAX and not self.has_answered
        if is_exchange_down or time.monotonic() > self.ends_at:
            self.not_asked.append(trade)
            return
        call = calls.begin(calls.ASK, [trade.id])
        try:
            report, at = gateway.ask_with_time(trade.id)
        except Unknown as unknown:
            self.unanswered += 1
            self.made_calls.append(call.unknown(str(unknown)))
            return
        self.has_answered = True
        self.made_calls.append(call.answered({str(trade.id): calls.status_of_report(report)}))
        if report is None:
            self._resend_or_expire(trade, at)
        elif report.get("status") in FINAL:
            self.reports.append(report)
        else:
            self.answered.append(trade)

    def _resend_or_expire(self, trade: Trade, at: datetime) -> None:
        """Send a trade that the exchange does not know again, or end it as expired.

        It is sent alone, so that an order on which the exchange fails delays no other order.

        Args:
            trade: The trade that the exchange does not know.
            at: The time of the exchange's answer, by its own clock.
        """
        if trade.expires_at is None:
            raise ValueError(f"{trade.id} was not claimed")
        if at > trade.expires_at + timedelta(seconds=EXPIRY_MARGIN_SECONDS):
            self.reports.append(rejection_report(trade, Reason.EXPIRED, "The exchange did not get the trade in time."))
        elif at < trade.expires_at and not self.rules.is_halted(trade.customer_id, trade.ticker):
            self.sent.append(send([trade], is_probe=True))
            if self.sent[-1].reports is not None:
                self.answered.append(trade)
        else:
            self.answered.append(trade)
