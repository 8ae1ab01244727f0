"""Old rows are deleted, and needed ones are kept."""

import io
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection
from django.utils import timezone
from uuid_utils.compat import uuid7

from accounts.models import SIGN_INS_KEPT_DAYS, Customer, SignIn
from exchange.models import Call
from office import cases, retention, schedule
from office.cases import Finding, Kind
from office.models import Case, Job
from office.retention import delete_old
from tests.conftest import StandInExchange
from tests.factories import CallFactory, SignInFactory
from tests.people import claim, open_account
from trades.models import Trade, Type
from trades.place import place_trade


@pytest.fixture(autouse=True)
def _small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "ROWS_PER_BATCH", 2)


def create_call(days_ago: float, *trades: Trade) -> Call:
    ids = [trade.id for trade in trades] or [uuid7() for _ in range(3)]
    call = CallFactory.create(trade_ids=ids)
    Call.objects.filter(id=call.id).update(at=timezone.now() - timedelta(days=days_ago))
    return call


def call_ids() -> set[int]:
    return set(Call.objects.values_list("id", flat=True))


def test_old_calls_are_deleted(db: None, settings: Any) -> None:
    old = [create_call(91) for _ in range(7)]
    recent = {create_call(89).id, create_call(0).id}
    deleted = delete_old()
    assert (deleted.calls, deleted.all_done) == (len(old), True)
    assert call_ids() == recent
    assert delete_old().calls == 0
    settings.EXCHANGE_CALLS_KEPT_DAYS = 1
    assert delete_old().calls == 1


def test_calls_of_open_trades_and_exceptions_are_kept(alice: Customer, bob: Customer) -> None:
    final = Trade.objects.get()
    in_flight, _ = place_trade(alice.id, "IBM", Type.BUY, 1)
    claim(alice)
    in_line, _ = place_trade(alice.id, "IBM", Type.BUY, 1)
    disputed = uuid7()
    cases.open_cases([Finding(Kind.UNKNOWN_THERE, "a trade", "It must be known.", alice.id, disputed)])
    about_case = CallFactory.create(verb="ask", trade_ids=[disputed])
    Call.objects.filter(id=about_case.id).update(at=timezone.now() - timedelta(days=400))
    needed = {create_call(400, final, in_flight).id, create_call(300, in_line).id, about_case.id}
    for _ in range(5):
        create_call(200, final)
    assert delete_old().calls == 5
    assert call_ids() == needed
    cases.close(Case.objects.get().id, bob, "By phone.")
    assert delete_old().calls == 1
    assert call_ids() == needed - {about_case.id}


def test_deletion_is_time_limited_and_continues_in_the_next_round(db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(5):
        create_call(100)
    monkeypatch.setattr(retention, "SECONDS_MAX", 0)
    assert not delete_old().all_done
    assert Call.objects.count() == 5
    monkeypatch.setattr(retention, "SECONDS_MAX", 60)
    assert delete_old().calls == 5


def test_the_command_deletes_old_calls_and_sign_ins(alice: Customer) -> None:
    create_call(100)
    for days in (SIGN_INS_KEPT_DAYS + 1, SIGN_INS_KEPT_DAYS + 1, SIGN_INS_KEPT_DAYS + 1, 1):
        SignInFactory.create(customer=alice, at=timezone.now() - timedelta(days=days))
    output = io.StringIO()
    call_command("delete_old", stdout=output)
    assert output.getvalue() == "1 calls and 3 sign-ins deleted\n"
    assert SignIn.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_the_sweep_deletes_old_rows(exchange: StandInExchange) -> None:
    open_account("dave@example.com", Decimal(1))
    create_call(100)
    schedule.run_jobs()
    assert not Call.objects.exists()
    job = Job.objects.get(name="forget")
    assert (job.failure, bool(job.ended_at)) == ("", True)


def test_a_batch_is_found_by_the_index_on_time(db: None) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
        parameters: dict[str, int | str] = {"days": 90, "at": "-infinity", "id": 0, "rows": 1000}
        cursor.execute(f"EXPLAIN {retention.DELETE_CALLS}", parameters)
        plan = "\n".join(row[0] for row in cursor.fetchall())
    assert "using calls_by_time" in plan, plan
