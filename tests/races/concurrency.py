"""Tools for tests of concurrency: simultaneous calls, a concurrent reader, and a check of the committed rows."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from django.db import connection, transaction

WAIT_SECONDS_MAX = 30.0


@dataclass
class Outcome:
    """The result of one call."""

    value: Any = None
    error: BaseException | None = None
    started_at: float = 0.0
    ended: float = 0.0


def outcomes(*calls: Callable[[], Any]) -> list[Outcome]:
    """Run these calls simultaneously, each in a thread with its own connection; return their outcomes."""
    barrier = threading.Barrier(len(calls))
    outcomes_of_calls = [Outcome() for _ in calls]

    def run(call: Callable[[], Any], outcome: Outcome) -> None:
        try:
            connection.ensure_connection()
            barrier.wait(WAIT_SECONDS_MAX)
            outcome.started_at = time.monotonic()
            outcome.value = call()
        except BaseException as error:
            outcome.error = error
        finally:
            outcome.ended = time.monotonic()
            connection.close()

    threads = [threading.Thread(target=run, args=pair) for pair in zip(calls, outcomes_of_calls, strict=True)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(WAIT_SECONDS_MAX)
        assert not thread.is_alive(), "a call did not return"
    return outcomes_of_calls


def together(*calls: Callable[[], Any]) -> list[Any]:
    """Run these calls simultaneously; return their results. Raises the first error."""
    outcomes_of_calls = outcomes(*calls)
    for outcome in outcomes_of_calls:
        if outcome.error:
            raise outcome.error
    return [outcome.value for outcome in outcomes_of_calls]


@dataclass
class Watch:
    """The violations that a concurrent reader saw, and how often it has checked."""

    violations: set[str] = field(default_factory=set)
    checks: int = 0


@contextmanager
def watching(find_violations: Callable[[], list[str]]) -> Iterator[Watch]:
    """Check repeatedly, from a separate connection, while the block runs and once afterwards."""
    watch, stop = Watch(), threading.Event()

    def read() -> None:
        try:
            while not stop.is_set():
                watch.violations.update(find_violations())
                watch.checks += 1
        finally:
            connection.close()

    thread = threading.Thread(target=read)
    thread.start()
    try:
        yield watch
    finally:
        stop.set()
        thread.join(WAIT_SECONDS_MAX)
    watch.violations.update(find_violations())


class Running:
    """A call in its own thread, with its own database connection."""

    def __init__(self, call: Callable[[], Any]) -> None:
        self.outcome = Outcome()
        self._call = call
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    @property
    def is_done(self) -> bool:
        return not self._thread.is_alive()

    def result(self) -> Any:
        """Wait for the call and return its result, or raise its exception."""
        self._thread.join(WAIT_SECONDS_MAX)
        assert self.is_done, "the call did not return"
        if self.outcome.error:
            raise self.outcome.error
        return self.outcome.value

    def _run(self) -> None:
        try:
            self.outcome.value = self._call()
        except BaseException as error:
            self.outcome.error = error
        finally:
            connection.close()


class Open:
    """Another session's transaction that has run `work` and stays open until it is committed or rolled back."""

    def __init__(self, work: Callable[[], Any]) -> None:
        self._done, self._end = threading.Event(), threading.Event()
        self._commits = True
        self._running = Running(lambda: self._hold(work))
        if not self._done.wait(WAIT_SECONDS_MAX):
            self._running.result()

    def commit(self) -> None:
        self._end.set()
        self._running.result()

    def roll_back(self) -> None:
        self._commits = False
        self.commit()

    def _hold(self, work: Callable[[], Any]) -> None:
        with transaction.atomic():
            work()
            self._done.set()
            while not self._end.wait(1):
                rows("SELECT")  # the database would end an idle transaction
            transaction.set_rollback(not self._commits)


def eventually(condition: Callable[[], Any], seconds_max: float = 10.0) -> None:
    """Wait until the condition is true."""
    deadline = time.monotonic() + seconds_max
    while not condition():
        assert time.monotonic() < deadline, f"not true within {seconds_max} s"
        time.sleep(0.01)


def rows(statement: str, *parameters: Any) -> list[tuple[Any, ...]]:
    """Return the rows of a query."""
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        return cursor.fetchall()


def waiting() -> int:
    """Return how many statements are waiting for a lock."""
    return int(
        rows("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()")[
            0
        ][0]
    )


def deadlocks() -> int:
    """Return how many deadlocks the database has resolved so far."""
    return int(rows("SELECT pg_stat_get_db_deadlocks(oid) FROM pg_database WHERE datname = current_database()")[0][0])


def violations() -> list[str]:
    """Return a description of every promise that the committed rows break, found by SQL alone."""
    return [f"{promise}: {row}" for promise, statement in PROMISES.items() for row in rows(statement)]


PROMISES = {
    "a line has no gap": """
        SELECT customer_id, array_agg(sequence ORDER BY sequence) FROM trades_trade
        GROUP BY customer_id HAVING max(sequence) <> count(*)""",
    "one trade in flight": """
        SELECT customer_id, count(*) FROM trades_trade WHERE status = 'IN PROGRESS'
        GROUP BY customer_id HAVING count(*) > 1""",
    "claimed in order": """
        SELECT customer_id, sequence FROM (
            SELECT t.customer_id, sequence, lag(sequence) OVER (PARTITION BY t.customer_id ORDER BY m.id) AS before
            FROM trades_statuschange AS m JOIN trades_trade AS t ON t.id = m.trade_id WHERE to_status = 'IN PROGRESS'
        ) AS claims WHERE sequence < before""",
    "one at a time": """
        SELECT customer_id, sequence FROM (
            SELECT customer_id, sequence, claimed_at,
                   lag(settled_at) OVER (PARTITION BY customer_id ORDER BY sequence) AS before
            FROM trades_trade WHERE claimed_at IS NOT NULL
        ) AS claims WHERE claimed_at < before""",
    "a trade's times are in order": """
        SELECT id, placed_at, claimed_at, settled_at FROM trades_trade
        WHERE claimed_at < placed_at OR settled_at < coalesce(claimed_at, placed_at)""",
    "a fill is posted once, at its price": """
        SELECT t.id, count(p.id) FROM trades_trade AS t LEFT JOIN accounts_posting AS p
            ON p.cause = t.id AND p.kind = lower(t.type) AND p.price = t.price
            AND p.change = CASE WHEN p.ticker = '' THEN t.amount ELSE -t.quantity END
                         * CASE t.type WHEN 'BUY' THEN -1 ELSE 1 END
        WHERE t.status = 'FILLED' GROUP BY t.id HAVING count(p.id) <> 2""",
    "only fills and transfers are posted": """
        SELECT p.id FROM accounts_posting AS p
        WHERE NOT EXISTS (SELECT FROM trades_trade WHERE id = p.cause AND status = 'FILLED')
          AND NOT EXISTS (SELECT FROM accounts_transfer WHERE id = p.cause AND amount = abs(p.change))""",
    "cash is the sum of its postings": """
        SELECT b.customer_id, b.amount, sum(p.change) FROM accounts_balance AS b
        LEFT JOIN accounts_posting AS p ON p.customer_id = b.customer_id AND p.ticker = ''
        GROUP BY b.customer_id HAVING b.amount <> coalesce(sum(p.change), 0)""",
    "shares are the sum of their postings": """
        SELECT s.id, s.quantity FROM accounts_position AS s
        WHERE quantity <> (SELECT coalesce(sum(change), 0) FROM accounts_posting AS p
                           WHERE p.customer_id = s.customer_id AND p.ticker = s.ticker)""",
    "each posting follows the one before": """
        SELECT id FROM (
            SELECT id, total, change, lag(total, 1, 0) OVER (PARTITION BY customer_id, ticker ORDER BY id) AS before
            FROM accounts_posting
        ) AS p WHERE total <> before + change""",
    "cash is held for the trade in flight only": """
        SELECT b.customer_id, b.held, t.max_price FROM accounts_balance AS b
        LEFT JOIN trades_trade AS t ON t.customer_id = b.customer_id AND t.status = 'IN PROGRESS' AND t.type = 'BUY'
        WHERE b.held <> coalesce(t.max_price, 0)""",
    "shares are held for the trade in flight only": """
        SELECT s.id, s.held, t.quantity FROM accounts_position AS s
        LEFT JOIN trades_trade AS t ON t.customer_id = s.customer_id AND t.ticker = s.ticker
            AND t.status = 'IN PROGRESS' AND t.type = 'SELL'
        WHERE s.held <> coalesce(t.quantity, 0)""",
    "nothing is below zero": """
        SELECT customer_id FROM accounts_balance WHERE held < 0 OR held > amount
        UNION ALL SELECT customer_id FROM accounts_position WHERE held < 0 OR held > quantity""",
    "a status change for the trade's status": """
        SELECT t.id, t.status FROM trades_trade AS t WHERE NOT EXISTS (
            SELECT FROM trades_statuschange WHERE trade_id = t.id AND to_status = t.status)""",
}
