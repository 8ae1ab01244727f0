"""Rows that several tests share, created once for all of them."""

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection, transaction
from pytest_django.plugin import DjangoDbBlocker

from accounts import tokens
from exchange import market, price_history, prices
from trades import checks, fees, lane, sweep
from web.valkey import cache_backoff


@contextmanager
def lasting(blocker: DjangoDbBlocker) -> Iterator[None]:
    """Keep the rows that a class or module fixture writes: each test rolls back only its own changes.

        @pytest.fixture(scope="module")
        def ids(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[dict[str, int]]:
            with lasting(django_db_blocker):
                yield rows_that_no_test_changes()

    Everything is one transaction, in which the database's clock stands still. Use this for tests that try many things
    with the same rows and don't need time to pass. No test in the same class or module may commit.
    """
    with blocker.unblock():
        forget()
        outer = transaction.atomic()
        # As in Django's test case, durable transactions are allowed inside.
        outer._from_testcase = True  # type: ignore[attr-defined]
        with outer:
            with connection.cursor() as cursor:
                cursor.execute("SET LOCAL transaction_timeout = 0")
                cursor.execute("SET LOCAL idle_in_transaction_session_timeout = 0")
            yield
            transaction.set_rollback(True)


def forget() -> None:
    """Clear this process's caches of unserved lanes, trading controls, the market and fees, and end all back-offs.

    Uses of tokens are noted at once, even after a test has imported the WSGI application.
    """
    tokens.note_uses_at_once()
    lane.broker_backoff.stop()
    cache_backoff.stop()
    sweep.forget()
    checks.forget()
    market.forget()
    prices.forget()
    price_history.forget()
    fees.expire()
