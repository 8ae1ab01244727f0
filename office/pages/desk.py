"""The desk: the current state of the brokerage. Figures are read when they are shown.

They come from the database and the message broker. The desk waits for no other process: what the workers and the
exchange answered to the sweep is shown with its age.
"""

from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import connection
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from redis.exceptions import RedisError

from accounts.models import Adjustment
from exchange import clock_skew, market
from office import heartbeat, proofs
from office.actions.door import available_actions
from office.actions.targets import DESK
from office.models import Case, Job, Proof, Proposal, Reconciliation
from office.pages import business
from trades import backlog, lane, queries
from trades.controls import rules
from trades.explanation import age_in_words

CHART_MINUTES = 30
CALLS_MINUTES = 10
REFRESH_SECONDS = 5
WAITING_MAX = 5_000  # customers that wait longest, from which the lag of lanes is computed
CASES_COUNTED_MAX = 1_000
POSTINGS_COUNTED_MAX = 1_000
AGES = [(1, "under 1 s"), (5, "1 to 5 s"), (30, "5 to 30 s"), (300, "30 s to 5 min"), (None, "over 5 min")]
OLD_SECONDS, VERY_OLD_SECONDS = 10, 60
SKEW_SECONDS_MAX = 2  # above this, the alert ClockSkew fires


def context(request: HttpRequest) -> dict[str, Any]:
    """Return the data of the first page of the back office."""
    return {
        "figures": _figures(),
        "actions": available_actions(request, DESK, None),
        "refresh_seconds": REFRESH_SECONDS,
    }


def figures(request: HttpRequest) -> HttpResponse:
    """Show only the figures, with which the page refreshes itself."""
    return render(request, "office/desk_figures.html", {"figures": _figures()})


def _figures() -> dict[str, Any]:
    now = timezone.now()
    trading, rejected = _last_minutes(now)
    return {
        "at": now,
        "business": business.figures.get(),
        "trading": trading,
        "rejected": rejected,
        "open": _open(),
        "lanes": _lanes(now),
        "processes": _rows(PROCESSES, []),
        "calls": _calls(),
        "proof": _proof(),
        "proposals": Proposal.objects.filter(approved=None).count(),
        "reconciliation": Reconciliation.objects.order_by("-id").first(),
        "jobs": {job.name: job for job in Job.objects.all()},
        "cases": Case.objects.filter(closed_at=None).values_list("id")[:CASES_COUNTED_MAX].count(),
        "oldest_case": Case.objects.filter(closed_at=None).order_by("found_at").first(),
        "adjustments": Adjustment.objects.filter(approved=None).count(),
        "rules": rules(),
        "skew": _skew(),
        "kept_days": settings.EXCHANGE_CALLS_KEPT_DAYS,
        "heartbeat": heartbeat.latest(),
    }


@dataclass(frozen=True, slots=True)
class Bar:
    """One minute of the chart. Heights are percentages of the highest bar."""

    minute: datetime
    filled: int
    rejected: int
    open: int
    x: float
    filled_y: float
    filled_height: float
    rejected_y: float
    rejected_height: float
    open_y: float
    open_height: float

    @property
    def placed(self) -> int:
        return self.filled + self.rejected + self.open


def _last_minutes(now: datetime) -> tuple[dict[str, Any], dict[str, Any]]:
    """Count trades by the minute in which they were placed, and rejected trades by reason."""
    since = (now - timedelta(minutes=CHART_MINUTES - 1)).replace(second=0, microsecond=0)
    # Ids increase with time, so the primary key finds the newest trades and no other index is needed.
    rows = _rows(MINUTES, [f"{int((since.timestamp() - 600) * 1000):012x}".ljust(32, "0"), since])
    minutes: dict[datetime, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    reasons: dict[str, int] = defaultdict(int)
    final = rejected = 0
    for minute, status, reason, count in rows:
        kind = {"FILLED": "filled", "REJECTED": "rejected"}.get(status, "open")
        minutes[minute][kind] += count
        if kind != "open":
            final += count
        if kind == "rejected":
            rejected += count
            reasons[reason] += count
    starts = [since + timedelta(minutes=n) for n in range(CHART_MINUTES)]
    highest = max((sum(minutes[start].values()) for start in starts), default=0)
    bars = [_bar(n, start, minutes[start], highest or 1) for n, start in enumerate(starts)]
    last = sum(bar.placed for bar in bars[-6:-1]) / 5
    shares = [
        {"reason": reason.replace("_", " "), "count": count, "percent": 100 * count / final}
        for reason, count in sorted(reasons.items(), key=lambda row: -row[1])
    ]
    trading = {"bars": bars, "highest": highest, "a_minute": last, "width": CHART_MINUTES * 10}
    return trading, {"reasons": shares, "percent": 100 * rejected / final if final else 0, "final": final}


def _bar(position: int, minute: datetime, counts: dict[str, int], highest: int) -> Bar:
    filled, rejected, open = (100 * counts[kind] / highest for kind in ("filled", "rejected", "open"))
    return Bar(
        minute, counts["filled"], counts["rejected"], counts["open"], position * 10 + 1,
        100 - filled, filled, 100 - filled - rejected, rejected, 100 - filled - rejected - open, open,
    )  # fmt: skip


def _open() -> dict[str, Any]:
    """Count open trades by age and status, and find the oldest. Trades queued for the open wait rightly until then."""
    clock = market.clock()
    is_open = clock is None or clock["isOpen"]
    counts = {"PLACED": [0] * len(AGES), "IN PROGRESS": [0] * len(AGES)}
    oldest_seconds, oldest_id, queued = 0.0, None, 0
    ages_max = [age_max for age_max, _ in AGES if age_max]
    for status, bucket, count, queued_count, age, id in _rows(OPEN, [ages_max, is_open, is_open] * 2):
        counts[status][bucket] += count
        queued += queued_count
        if age and age > oldest_seconds:
            oldest_seconds, oldest_id = age, id
    highest = max(max(row) for row in counts.values()) or 1
    ages = [
        {
            "name": name,
            "placed": counts["PLACED"][n],
            "in_progress": counts["IN PROGRESS"][n],
            "placed_percent": 100 * counts["PLACED"][n] / highest,
            "in_progress_percent": 100 * counts["IN PROGRESS"][n] / highest,
        }
        for n, (_, name) in enumerate(AGES)
    ]
    return {
        "ages": ages,
        "placed": sum(counts["PLACED"]),
        "in_progress": sum(counts["IN PROGRESS"]),
        "queued": 0 if is_open else queued,
        "oldest": age_in_words(timedelta(seconds=oldest_seconds)) if oldest_id else "",
        "oldest_id": oldest_id,
        "level": _level(oldest_seconds),
    }


def _level(seconds: float) -> str:
    return "bad" if seconds > VERY_OLD_SECONDS else "odd" if seconds > OLD_SECONDS else "good"


def _lanes(now: datetime) -> dict[str, Any]:
    """Return for each lane: messages in its queue, customers that rang, and the longest wait of a due customer."""
    lags: dict[int, float] = defaultdict(float)
    waiting: dict[int, int] = defaultdict(int)
    for due in queries.due_customers(rules(), limit=WAITING_MAX):
        number = lane.lane_of(due.customer_id)
        lags[number] = max(lags[number], due.seconds)
        waiting[number] += 1
    try:
        depths = backlog.depths()
    except RedisError:
        depths = None
    rows = [
        {
            "number": number,
            "messages": depths[number][0] if depths else None,
            "rang": depths[number][1] if depths else None,
            "waiting": waiting[number],
            "lag": lags[number],
            "level": _level(lags[number]),
        }
        for number in range(settings.LANES)
    ]
    busy = [row for row in rows if row["messages"] or row["rang"] or row["waiting"]]
    return {
        "busy": busy,
        "idle": len(rows) - len(busy),
        "broker": depths is not None,
        "lag": max(lags.values(), default=0.0),
    }


def _proof() -> dict[str, Any] | None:
    """Return the newest proof of the books, the last full one, and how many postings have been made since."""
    proof = Proof.objects.order_by("-id").first()
    if proof is None:
        return None
    rows = _rows(SINCE_PROOF, [proof.at, POSTINGS_COUNTED_MAX])
    full = proof if proof.is_full else proofs.last_full(proof)
    return {"found": proof, "full": full, "since": rows[0][0], "more": rows[0][0] >= POSTINGS_COUNTED_MAX}


def _skew() -> dict[str, Any] | None:
    """Return how many seconds the exchange's clock was ahead of or behind the database's when last measured."""
    seconds = clock_skew.latest()
    if seconds is None:
        return None
    side = "ahead of" if seconds >= 0 else "behind"
    return {"seconds": abs(seconds), "side": side, "is_bad": abs(seconds) > SKEW_SECONDS_MAX}


def _calls() -> dict[str, Any]:
    """Count the latest calls to the exchange, by verb."""
    rows = {verb: rest for verb, *rest in _rows(CALLS, [CALLS_MINUTES])}
    return {
        verb: dict(zip(("calls", "trades", "unknown", "p50", "p95"), rows[verb], strict=True))
        for verb in ("execute", "ask")
        if verb in rows
    } | {"minutes": CALLS_MINUTES}


def _rows(statement: str, parameters: list[Any]) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        rows: list[tuple[Any, ...]] = cursor.fetchall()
        return rows


MINUTES = """
    SELECT date_trunc('minute', placed_at), status, reason_code, count(*)
    FROM trades_trade WHERE id >= %s::uuid AND placed_at >= %s GROUP BY 1, 2, 3
"""
# Newest first, so it reads no more postings than it counts.
SINCE_PROOF = """
    SELECT count(*) FILTER (WHERE created_at > %s)
    FROM (SELECT created_at FROM accounts_posting ORDER BY id DESC LIMIT %s) AS newest
"""
# One status at a time, because each has its own partial index; a query for both would scan all trades.
OPEN = " UNION ALL ".join(
    f"""
    SELECT status, width_bucket(extract(epoch FROM now() - placed_at)::numeric, (%s::int[])::numeric[]) AS bucket,
           count(*), count(queued_at),
           max(extract(epoch FROM now() - placed_at)) FILTER (WHERE queued_at IS NULL OR %s)::float,
           (array_agg(id ORDER BY placed_at) FILTER (WHERE queued_at IS NULL OR %s))[1]
    FROM trades_trade WHERE status = '{status}' GROUP BY 1, 2
    """
    for status in ("PLACED", "IN PROGRESS")
)
PROCESSES = """
    SELECT application_name, count(*) FROM pg_stat_activity
    WHERE datname = current_database() AND application_name <> '' GROUP BY 1 ORDER BY 1
"""
CALLS = """
    SELECT verb, count(*), sum(cardinality(trade_ids)), count(*) FILTER (WHERE outcome = 'unknown'),
           percentile_cont(0.5) WITHIN GROUP (ORDER BY took_ms), percentile_cont(0.95) WITHIN GROUP (ORDER BY took_ms)
    FROM exchange_call WHERE at > now() - make_interval(mins => %s) GROUP BY verb
"""
