"""A database that is full, out of connections, locked or restored from a backup breaks no promise."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.db import OperationalError, close_old_connections, connection
from django.test import Client

from office.models import Case as ExceptionCase
from office.reconcile import reconcile
from tests.conftest import StandInExchange
from tests.faults.lifecycle import Case, sweep_until_final, violations_of
from tests.faults.servers import Pair, serving
from tests.people import take_rung_customers
from trades.lane import lane_of
from trades.models import Status, Trade

pytestmark = [pytest.mark.process, pytest.mark.django_db(transaction=True)]
REFUSAL_SECONDS_MAX = 3.0
BACK_SECONDS_MAX = 30.0
DISK_MEGABYTES = 320


def try_to_place(case: Case, key: str) -> int:
    """Place one trade, record it, and return its status; a refusal must be quick and have Retry-After."""
    body = {"stockTicker": "KO", "type": "BUY", "quantity": 1}
    client = Client(headers={"Authorization": f"Bearer {case.token}", "Idempotency-Key": key})
    close_old_connections()  # Django does this before each request, but the test client doesn't
    started_at = time.time()
    response = client.post("/api/v1/trades", json.dumps(body), content_type="application/json")
    case.record_request("/api/v1/trades", body, key, started_at, response.status_code, json.loads(response.content))
    if response.status_code not in (200, 201):
        assert (response.status_code, response.json()["code"]) == (503, "unavailable")
        assert int(response.headers["Retry-After"]) > 0
        assert time.time() - started_at < REFUSAL_SECONDS_MAX
    return response.status_code


def place_until_it_works(case: Case, key: str) -> None:
    deadline = time.monotonic() + BACK_SECONDS_MAX
    while try_to_place(case, key) not in (200, 201):
        assert time.monotonic() < deadline
        time.sleep(0.2)


def another_session() -> psycopg.Connection[Any]:
    """Open a second session with the test's role."""
    database = connection.settings_dict
    return psycopg.connect(
        host=database["HOST"],
        port=database["PORT"],
        user=database["USER"],
        password=database["PASSWORD"],
        dbname=database["NAME"],
    )


# -- separate servers


@pytest.fixture
def folder() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="brokerage-database-"))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def small_disk(folder: Path) -> Iterator[Path]:
    """Mount a small file system that can be filled."""
    mounted = os.geteuid() == 0 and subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={DISK_MEGABYTES}m", "tmpfs", str(folder)], capture_output=True
    )
    if not mounted or mounted.returncode != 0:
        pytest.skip("only root can mount a file system")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_full_disk_refuses_orders_and_loses_none(instant_exchange: StandInExchange, small_disk: Path) -> None:
    pair = Pair(small_disk)
    pair.start_primary("min_wal_size=32MB", "max_wal_size=48MB")
    with serving(pair):
        case = Case(instant_exchange, 1)
        case.place("before")
        filler = small_disk / "filler"
        with open(filler, "wb", buffering=0) as file, suppress(OSError):
            while True:
                file.write(bytes(1 << 20))
        with suppress(OSError), open(filler, "ab", buffering=0) as file:
            while True:
                file.write(bytes(4096))
        statuses: Counter[int] = Counter()
        for number in range(2_000):
            statuses[try_to_place(case, f"full {number}")] += 1
            if statuses[503] >= 3:
                break
        assert statuses[503] >= 3, "the disk was not full"
        filler.unlink()
        if pair.has_ended():  # PostgreSQL exits if it can't write its log
            pair.run(pair.primary.data, pair.primary.port)
        place_until_it_works(case, "after")
        sweep_until_final(case.customer)
        assert violations_of([case]) == []


def test_without_free_connections_orders_are_refused_quickly_until_there_are_some(
    instant_exchange: StandInExchange, folder: Path
) -> None:
    pair = Pair(folder)
    pair.start_primary("max_connections=8", "superuser_reserved_connections=3", "max_wal_senders=0")
    with serving(pair):
        case = Case(instant_exchange, 1)
        case.place("before")
        connection.close()
        sessions = [another_session() for _ in range(5)]
        with pytest.raises(psycopg.OperationalError, match="remaining connection slots"):
            another_session()
        assert try_to_place(case, "none left") == 503
        for session in sessions:
            session.close()
        place_until_it_works(case, "none left")
        sweep_until_final(case.customer)
        assert violations_of([case]) == []


def test_a_restored_backup_adopts_later_executions_from_the_exchange(
    instant_exchange: StandInExchange, folder: Path
) -> None:
    pair = Pair(folder)
    pair.start_primary()
    with serving(pair):
        case = Case(instant_exchange, 1)
        case.place("in the backup")
        pair.back_up(pair.standby_data)
        sweep_until_final(case.customer)
        case.place("not in the backup")
        sweep_until_final(case.customer)
        lost_trade = Trade.objects.get(idempotency_key="not in the backup")
        assert Trade.objects.filter(customer=case.customer, status=Status.FILLED).count() == 2
        pair.kill_primary()
        pair.run(pair.standby_data, pair.standby_port)
        connection.close()
        connection.settings_dict["PORT"] = str(pair.standby_port)
        pair.wait_for(pair.standby_port)
        assert list(Trade.objects.values_list("idempotency_key", "status")) == [("in the backup", "PLACED")]
        sweep_until_final(case.customer)
        (trade,) = Trade.objects.filter(customer=case.customer)
        (exchanges_record,) = [entry for entry in instant_exchange.record() if entry["tradeId"] == str(trade.id)]
        assert (trade.status, f"{trade.amount:.4f}") == (Status.FILLED, exchanges_record["amount"]), (
            "executed once, booked once"
        )
        reconcile("test")
        kinds = ExceptionCase.objects.filter(trade_id=lost_trade.id).values_list("kind", flat=True)
        assert list(kinds) == [ExceptionCase.Kind.UNKNOWN_HERE], "a trade that the backup lacks needs manual review"


# -- the tests' own server


def test_clients_do_not_notice_a_killed_backend(instant_exchange: StandInExchange) -> None:
    case = Case(instant_exchange, 1)
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        (pid,) = cursor.fetchone()
    with another_session() as session:
        session.execute("SELECT pg_terminate_backend(%s, 5000)", [pid])
    close_old_connections()  # as before each request and each turn
    case.place("after")
    sweep_until_final(case.customer)
    assert violations_of([case]) == []


def test_an_order_that_waits_for_a_lock_is_refused_quickly(instant_exchange: StandInExchange) -> None:
    case = Case(instant_exchange, 1)
    with another_session() as session:
        session.execute("LOCK TABLE trades_trade IN ACCESS EXCLUSIVE MODE")
        assert try_to_place(case, "locked") == 503
        session.rollback()
    place_until_it_works(case, "locked")
    sweep_until_final(case.customer)
    assert violations_of([case]) == []


def test_an_idle_transaction_loses_its_lock_on_a_customer(instant_exchange: StandInExchange) -> None:
    case = Case(instant_exchange, 1)
    idle = another_session()
    idle.execute("SELECT FROM accounts_balance WHERE customer_id = %s FOR UPDATE", [case.customer.id])
    case.place("while it is locked")  # placing does not take the turn's lock
    sweep_until_final(case.customer)
    with pytest.raises(psycopg.errors.IdleInTransactionSessionTimeout):
        idle.execute("SELECT 1")
    assert violations_of([case]) == []


def test_a_migration_under_load_gives_up_its_lock_and_can_be_retried(instant_exchange: StandInExchange) -> None:
    case = Case(instant_exchange, 1)
    stop = threading.Event()
    statuses: Counter[int] = Counter()

    def load() -> None:
        number = 0
        while not stop.is_set():
            number += 1
            statuses[try_to_place(case, f"load {number}")] += 1
        connection.close()

    def migrate() -> None:
        with connection.schema_editor(atomic=False) as editor:
            editor.execute("ALTER TABLE trades_trade ADD COLUMN added_by_migration integer")

    client = threading.Thread(target=load)
    with another_session() as reader:
        reader.execute("SELECT count(*) FROM trades_trade")  # a long report, in a transaction
        client.start()
        try:
            started_at = time.monotonic()
            with pytest.raises(OperationalError, match="lock timeout"):
                migrate()
            assert time.monotonic() - started_at < REFUSAL_SECONDS_MAX
            reader.rollback()
            migrate()
        finally:
            stop.set()
            client.join()
            with connection.cursor() as cursor:
                cursor.execute("ALTER TABLE trades_trade DROP COLUMN IF EXISTS added_by_migration")
    place_until_it_works(case, "after")
    assert statuses[201] > 0
    sweep_until_final(case.customer)
    assert violations_of([case]) == []


def test_trades_end_although_processes_disagree_on_the_number_of_lanes(
    instant_exchange: StandInExchange, settings: Any
) -> None:
    """`web` rings 16 lanes but the workers serve three; the sweep serves the others."""
    settings.LANES = 16
    cases = [Case(instant_exchange, number) for number in range(1, 9)]
    assert any(lane_of(case.customer.id) >= 3 for case in cases)
    for case in cases:
        case.place("rung elsewhere")
    settings.LANES = 3
    served = {customer for number in range(3) for customer in take_rung_customers(number)}
    assert served < {case.customer.id for case in cases}
    for case in cases:
        sweep_until_final(case.customer)
    assert violations_of(cases) == []
