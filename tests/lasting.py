"""What several tests begin with, made once for all of them."""

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection, transaction
from pytest_django.plugin import DjangoDbBlocker

from exchange import market, price_history, prices
from trades import checks, fees, lane


@contextmanager
def lasting(blocker: DjangoDbBlocker) -> Iterator[None]:
    """Let rows last that a fixture of a class or module writes: each test takes back only what it does itself.

        @pytest.fixture(scope="module")
        def ids(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[dict[str, int]]:
            with lasting(django_db_blocker):
                yield rows_that_no_test_changes()

    All is one transaction, in which the database's clock stands still. So this is for tests that try the same rows in
    many ways and let no time pass; and no test that commits may stand in the same class or module.
    """
    with blocker.unblock():
        forget()
        whole = transaction.atomic()
        # As Django's test case does it: the transaction of a verb may be inside.
        whole._from_testcase = True  # type: ignore[attr-defined]
        with whole:
            with connection.cursor() as cursor:
                cursor.execute("SET LOCAL transaction_timeout = 0")
                cursor.execute("SET LOCAL idle_in_transaction_session_timeout = 0")
            yield
            transaction.set_rollback(True)


def forget() -> None:
    """Forget what this process remembers of the broker, trading controls, the market and fees."""
    lane.broker_backoff.stop()
    checks.forget()
    market.forget()
    prices.forget()
    price_history.forget()
    fees.expire()
