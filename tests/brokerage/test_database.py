"""A persistent connection that no longer works is replaced automatically."""

import gc
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal

import psycopg
import pytest
from django.db import DatabaseError, OperationalError, connection, transaction

from brokerage.database.failures import GIVE_UP
from tests.people import open_account
from trades.models import Trade
from trades.place import place_trade
from trades.turn import take_turn

REPEATS = 8  # more than prepare_threshold, so that psycopg prepares the statement


@pytest.fixture
def table(transactional_db: None) -> Iterator[str]:
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE notes (value varchar(40))")
    yield "notes"
    connection.close()
    with connection.cursor() as cursor:
        cursor.execute("DROP TABLE notes")


@pytest.fixture
def operator(transactional_db: None) -> Iterator[psycopg.Connection]:
    """Open an operator's session."""
    parameters = connection.get_connection_params()
    names = ("host", "port", "user", "password", "dbname")
    with psycopg.connect(autocommit=True, **{name: parameters[name] for name in names}) as operator:
        yield operator


def insert(value: str) -> str:
    with connection.cursor() as cursor:
        cursor.execute("INSERT INTO notes (value) VALUES (%s) RETURNING *", [value])
        return str(cursor.fetchone()[0])


def rows(operator: psycopg.Connection) -> int:
    row = operator.execute("SELECT count(*) FROM notes").fetchone()
    assert row is not None
    return int(row[0])


def widen(operator: psycopg.Connection) -> None:
    operator.execute("ALTER TABLE notes ALTER COLUMN value TYPE varchar(80)")


def deallocate(operator: psycopg.Connection) -> None:
    connection.connection.pgconn.exec_(b"DEALLOCATE ALL")  # as a pooler may do, without psycopg's knowledge


def become_read_only(operator: psycopg.Connection) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET default_transaction_read_only = on")


RECOVERABLE = [widen, deallocate, become_read_only]


@pytest.mark.parametrize("event", RECOVERABLE)
def test_a_refused_statement_is_executed_once_in_a_new_session(
    table: str, operator: psycopg.Connection, event: Callable[[psycopg.Connection], None]
) -> None:
    for _ in range(REPEATS):
        insert("before")
    event(operator)
    assert insert("after") == "after"
    assert rows(operator) == REPEATS + 1


@pytest.mark.parametrize("event", RECOVERABLE)
def test_a_transaction_is_not_repeated_and_the_next_one_succeeds(
    table: str, operator: psycopg.Connection, event: Callable[[psycopg.Connection], None]
) -> None:
    for _ in range(REPEATS):
        insert("before")
    event(operator)
    with pytest.raises(OperationalError), transaction.atomic(durable=True):
        insert("lost")
    with transaction.atomic(durable=True):
        insert("after")
    assert rows(operator) == REPEATS + 1


def test_when_one_session_meets_a_changed_table_the_others_replace_theirs(
    table: str, operator: psycopg.Connection
) -> None:
    """Each thread of a web server has a session; only the first transaction may fail."""
    barrier = threading.Barrier(4)

    def prepare_and_wait(_: int) -> bool:
        for _ in range(REPEATS):
            insert("before")
        barrier.wait()
        barrier.wait()
        try:
            with transaction.atomic(durable=True):
                return insert("after") == "after"
        except OperationalError:
            return False
        finally:
            connection.close()

    with ThreadPoolExecutor(3) as threads:
        succeeded = threads.map(prepare_and_wait, range(3))
        for _ in range(REPEATS):
            insert("before")
        barrier.wait()
        widen(operator)
        insert("first")
        barrier.wait()
        assert list(succeeded) == [True, True, True]


def test_hooks_of_a_transaction_that_committed_run_although_plans_have_changed(
    table: str, operator: psycopg.Connection
) -> None:
    from brokerage.database.base import Plans

    ran: list[str] = []
    with transaction.atomic(durable=True):
        insert("kept")
        transaction.on_commit(lambda: ran.append("ran"))
        Plans.generation += 1
    assert (ran, rows(operator)) == (["ran"], 1)


def terminate(operator: psycopg.Connection) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        pid = cursor.fetchone()[0]
    operator.execute("SELECT pg_terminate_backend(%s)", [pid])


def test_a_session_that_was_ended_is_replaced_after_one_error_at_most(table: str, operator: psycopg.Connection) -> None:
    insert("before")
    terminate(operator)
    try:
        insert("perhaps")
    except OperationalError:
        pass
    assert insert("after") == "after"


def test_other_errors_keep_the_session(table: str) -> None:
    insert("before")
    session = connection.connection
    for statement in ("SELECT 1/0", "SELECT nothing", "SELECT set_config('statement_timeout', 'x', false)"):
        with pytest.raises(Exception, match=r"."), connection.cursor() as cursor:
            cursor.execute(statement)
    with connection.cursor() as cursor:
        cursor.execute("SET statement_timeout = '20ms'")
        with pytest.raises(OperationalError, match="statement timeout"):
            cursor.execute("SELECT pg_sleep(1)")
        cursor.execute("RESET statement_timeout")
    assert connection.connection is session


# One error of every class after which a session is unusable.
GIVEN_UP = ["08006", "0A000", "25006", "25P03", "25P04", "26000", "40003", "42P05", "57P01", "58030", "XX000"]
HARMLESS = ["22P02", "23505", "25P02", "40001", "40P01", "53100", "53300", "55P03", "57014", "P0001"]


def fail_with(state: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"DO $$ BEGIN RAISE EXCEPTION 'planted' USING ERRCODE = '{state}'; END $$")


def test_each_class_of_errors_has_a_row() -> None:
    assert {given_up for given_up in GIVE_UP if any(state.startswith(given_up) for state in GIVEN_UP)} == set(GIVE_UP)


@pytest.mark.parametrize("state", [*GIVEN_UP, *HARMLESS])
def test_a_session_is_given_up_after_these_errors_and_no_others(table: str, state: str) -> None:
    for _ in range(REPEATS):
        insert("before")
    session = connection.connection
    with pytest.raises(DatabaseError), transaction.atomic(durable=True):
        fail_with(state)
    assert (connection.connection is not session) == (state in GIVEN_UP)
    for _ in range(REPEATS):
        assert insert("after") == "after"


def test_an_operator_may_widen_a_column_while_customers_place_and_lanes_work(
    transactional_db: None, operator: psycopg.Connection
) -> None:
    """Regression test: a web server used to answer 500 from then on, until it was restarted."""
    alice = open_account("alice@example.com", Decimal("1000"))
    for n in range(REPEATS):
        place_trade(alice.id, "AAPL", "BUY", 1, key=f"before {n}")
        take_turn([alice.id], "test")
    operator.execute("ALTER TABLE trades_trade ALTER COLUMN reason_code TYPE varchar(80)")
    try:
        for n in range(REPEATS):
            trade, _ = place_trade(alice.id, "AAPL", "BUY", 1, key=f"after {n}")
            assert place_trade(alice.id, "AAPL", "BUY", 1, key=f"after {n}") == (trade, True)
        take_turn([alice.id], "test")
        assert Trade.objects.filter(customer=alice).count() == 2 * REPEATS
    finally:
        operator.execute("ALTER TABLE trades_trade ALTER COLUMN reason_code TYPE varchar(32)")


def test_a_session_ends_with_its_thread(transactional_db: None) -> None:
    sessions: list[int] = []

    def use_the_database() -> None:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_backend_pid()")
            sessions.append(cursor.fetchone()[0])

    gc.disable()  # a worker whose requests leave no garbage collects hardly ever
    try:
        thread = threading.Thread(target=use_the_database)
        thread.start()
        thread.join()
        ends_at = time.monotonic() + 5
        while is_open(sessions[0]) and time.monotonic() < ends_at:
            time.sleep(0.05)
        assert not is_open(sessions[0])
    finally:
        gc.enable()


def is_open(session: int) -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT EXISTS (SELECT FROM pg_stat_activity WHERE pid = %s)", [session])
        return bool(cursor.fetchone()[0])
