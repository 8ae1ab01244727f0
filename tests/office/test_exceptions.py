"""Exceptions and reconciliation: whatever needs manual review is found once."""

import io
import time
from datetime import timedelta
from decimal import Decimal
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest
from django.core.management import call_command
from django.db import connection
from django.db.models import F
from django.utils import timezone
from uuid_utils.compat import uuid7

from accounts.funding import deposit
from accounts.models import Customer
from exchange import gateway
from exchange.messages import Order, Unknown
from office import cases, proofs, schedule
from office.cases import Kind
from office.models import Case, Job, Proof, Reconciliation
from office.reconcile import reconcile
from tests.conftest import StandInExchange
from tests.factories import DeliveryFactory, FeeRateFactory, ProofFactory
from tests.people import claim, report_body, send_report
from trades import fees
from trades.execute import execute
from trades.models import Report, Status, Trade, Type
from trades.place import place_trade
from trades.report import store_reports
from webhooks import subscriptions


def kinds() -> list[str]:
    return sorted(Case.objects.filter(closed_at=None).values_list("kind", flat=True))


def test_reports_that_need_manual_review_become_exceptions(alice: Customer, bob: Customer) -> None:
    final = Trade.objects.get()
    send_report(final, Status.REJECTED)  # it was FILLED
    trade, _ = place_trade(alice.id, "IBM", Type.BUY, 1)
    claim(alice)
    send_report(trade, Status.FILLED, Decimal(10), quantity=5)
    store_reports([report_body(trade, Status.FILLED, Decimal(10)) | {"price": "free"}], Report.Source.CALLBACK)
    store_reports([report_body(trade, Status.REJECTED) | {"tradeId": str(uuid7())}], Report.Source.CALLBACK)
    claim(alice)
    schedule.find_cases()
    assert kinds() == ["breaks_terms", "contradicts", "malformed", "unknown_here"]
    assert {case.trade_id for case in Case.objects.filter(kind="contradicts")} == {final.id}
    schedule.find_cases()
    assert Case.objects.count() == 4
    cases.close(Case.objects.get(kind="contradicts").id, bob, "By phone.")
    schedule.find_cases()
    assert kinds() == ["breaks_terms", "malformed", "unknown_here"]


POISON = ["\ud800", "\x00", "half a character: \ud800", "x" * 10_000, {"\ud800": ["\x00"]}, 10**400]


@pytest.mark.parametrize("poison", POISON, ids=range(len(POISON)))
def test_unreadable_text_does_not_stop_the_search_for_exceptions(alice: Customer, poison: Any) -> None:
    """A report with text that PostgreSQL refuses is one exception, and does not hide those after it."""
    final = Trade.objects.get()
    send_report(final, Status.REJECTED, reason=poison)  # it was FILLED
    store_reports([report_body(final, Status.REJECTED) | {"price": poison, "quantity": poison}], Report.Source.CALLBACK)
    claim(alice)
    send_report(final, Status.REJECTED, reason="another word")
    claim(alice)
    webhook, _ = subscriptions.create(alice.id, "https://example.com/hook")
    DeliveryFactory.create(webhook=webhook, next_at=None, answer="500")
    schedule.find_cases()
    assert kinds() == ["contradicts", "contradicts", "malformed", "webhook"]


def test_a_closed_exception_reopens_if_it_recurs(alice: Customer, bob: Customer) -> None:
    finding = cases.Finding(Kind.BOOKS, "rule 1", "off by 1")
    assert cases.open_cases([finding]) == 1
    assert cases.open_cases([finding]) == 0
    case = Case.objects.get()
    cases.assign(case.id, bob)
    cases.close(case.id, bob, "Done.")
    with pytest.raises(cases.AlreadyClosed):
        cases.close(case.id, bob, "Done.")
    cases.open_cases([finding])
    case.refresh_from_db()
    assert (case.closed_at, case.resolution, case.owner_id) == (None, "", bob.id)


def test_a_failed_webhook_becomes_an_exception(alice: Customer) -> None:
    webhook, _ = subscriptions.create(alice.id, "https://example.com/hook")
    for _ in range(3):
        DeliveryFactory.create(webhook=webhook, next_at=None, answer="500")
    DeliveryFactory.create(webhook=webhook)
    schedule.find_cases()
    schedule.find_cases()
    case = Case.objects.get()
    assert (case.kind, case.customer_id) == (Kind.WEBHOOK, alice.id)
    assert "https://example.com/hook was given up. Its last answer: 500" in case.detail


def filled_trade(customer: Customer, exchange: StandInExchange, **terms: Any) -> Trade:
    """Return a trade that the exchange has filled and reported, and that we have settled."""
    exchange.faults(callbackDropRate=1)
    trade, _ = place_trade(customer.id, "AAPL", Type.BUY, 1)
    execute(claim(customer))
    for _ in range(100):
        report = gateway.ask(trade.id)
        if report and report["status"] != "ACCEPTED":
            break
        time.sleep(0.02)
    assert report
    store_reports([report | terms], Report.Source.SWEEP)
    claim(customer)
    trade.refresh_from_db()
    return trade


@pytest.fixture
def exchange_without_history(exchange: StandInExchange, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Hide the orders of earlier tests, which are in the exchange's record too."""
    start = max((entry["sequence"] for entry in exchange.record()), default=0)
    original = gateway.history
    monkeypatch.setattr("office.reconcile.gateway.history", lambda after, limit: original(max(after, start), limit))
    return exchange


@pytest.fixture
def carol(db: None) -> Customer:
    from tests.people import open_account

    return open_account("carol@example.com", Decimal(100_000))


def test_reconciliation_finds_nothing_if_both_sides_agree(carol: Customer, exchange_without_history: Any) -> None:
    trade = filled_trade(carol, exchange_without_history)
    assert trade.status == Status.FILLED
    result = reconcile()
    assert (result.orders, result.fills, result.tickers, result.breaks) == (1, 1, 1, 0)
    assert kinds() == []


TIMES = [
    "yesterday",
    "",
    5,
    None,
    "2026-02-30T00:00:00Z",
    "9999-12-31T23:59:59-23:59",
    "0001-01-01T00:00:00+23:59",
    "\ud800",
    [],
]


@pytest.mark.parametrize("executed_at", TIMES, ids=range(len(TIMES)))
def test_an_invalid_time_does_not_stop_reconciliation(
    carol: Customer, exchange_without_history: Any, executed_at: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    filled_trade(carol, exchange_without_history)
    filled_trade(carol, exchange_without_history)
    history = gateway.history

    def with_invalid_time(after: int, limit: int) -> Any:
        rows, next_page = history(after, limit)
        return [rows[0] | {"executedAt": executed_at, "reason": "\ud800"}, *rows[1:]], next_page

    monkeypatch.setattr("office.reconcile.gateway.history", with_invalid_time)
    result = reconcile()
    assert (result.orders, result.fills + result.breaks) == (2, 2), "each row is either understood or a difference"


def execute_without_triggers(statement: str, parameters: list) -> None:
    table = statement.split()[1]
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER")
        cursor.execute(statement, parameters)
        cursor.execute(f"ALTER TABLE {table} ENABLE TRIGGER USER")


def test_a_price_that_differs_is_found_with_its_cash(carol: Customer, exchange_without_history: Any) -> None:
    trade = filled_trade(carol, exchange_without_history)
    execute_without_triggers("UPDATE trades_trade SET price = price + 1, amount = amount + 1 WHERE id = %s", [trade.id])
    execute_without_triggers(
        "UPDATE accounts_posting SET change = change - 1 WHERE cause = %s AND ticker = ''", [trade.id]
    )
    assert reconcile().breaks == 3
    assert kinds() == ["differs", "postings_differ", "postings_differ"]  # once by stock, once by settlement date


def test_fees_are_not_a_difference(carol: Customer, exchange_without_history: Any) -> None:
    FeeRateFactory.create(kind="cat", per_usd=0, per_share="0.01")
    fees.expire()
    trade = filled_trade(carol, exchange_without_history)
    assert trade.fee == Decimal("0.01")
    assert reconcile().breaks == 0


def test_clearing_is_compared_by_settlement_date(carol: Customer, exchange_without_history: Any) -> None:
    trade = filled_trade(carol, exchange_without_history)
    execute_without_triggers("UPDATE accounts_posting SET settles_on = settles_on + 1 WHERE cause = %s", [trade.id])
    reconcile()
    assert kinds() == ["postings_differ", "postings_differ"]  # on the exchange's date and on ours
    first, second = Case.objects.order_by("key")
    assert first.key == f"clearing {trade.settles_on}"
    assert f"moved -{trade.amount} USD, but our clearing account has 0 USD" in first.detail
    assert f"moved 0 USD, but our clearing account has -{trade.amount} USD" in second.detail


def test_a_fill_unknown_to_the_exchange_is_found(carol: Customer, exchange_without_history: Any) -> None:
    trade, _ = place_trade(carol.id, "AAPL", Type.BUY, 1)
    claim(carol)
    send_report(trade, Status.FILLED, Decimal(10))
    claim(carol)
    reconcile()
    assert kinds() == ["unknown_there"]
    assert Case.objects.get().trade_id == trade.id


def test_an_order_unknown_to_us_is_found(carol: Customer, exchange_without_history: Any) -> None:
    filled_trade(carol, exchange_without_history)
    unknown_id: UUID = uuid7()
    gateway.execute([Order(unknown_id, "AAPL", "BUY", 1, Decimal(100000), timezone.now() + timedelta(seconds=30))])
    reconcile()
    assert kinds() == ["unknown_here"]
    assert Case.objects.get().trade_id == unknown_id


def test_trades_in_flight_are_not_exceptions(carol: Customer, exchange_without_history: Any) -> None:
    exchange_without_history.faults(callbackDropRate=1)
    trade, _ = place_trade(carol.id, "AAPL", Type.BUY, 1)
    execute(claim(carol))
    assert reconcile().breaks == 0
    while (gateway.ask(trade.id) or {})["status"] == "ACCEPTED":
        time.sleep(0.02)
    assert reconcile().breaks == 0
    execute_without_triggers("UPDATE trades_trade SET claimed_at = now() - interval '1 hour' WHERE id = %s", [trade.id])
    assert reconcile().breaks == 1


def test_reconciliation_by_command(carol: Customer, exchange_without_history: Any) -> None:
    filled_trade(carol, exchange_without_history)
    output = io.StringIO()
    call_command("reconcile", stdout=output)
    assert "1 orders, 1 fills, 1 stocks: 0 differences" in output.getvalue()
    exchange_without_history.faults(down=True)
    with pytest.raises(Unknown):
        reconcile()


@pytest.mark.django_db(transaction=True)
def test_jobs_run_once_when_due(exchange: StandInExchange) -> None:
    schedule.run_jobs()
    assert Proof.objects.get().ok
    assert Reconciliation.objects.count() == 1 or Job.objects.get(name="reconcile").failure
    schedule.run_jobs()
    assert Proof.objects.count() == 1
    schedule.request_job(schedule.PROVE, "sam@example.com")
    schedule.run_jobs()
    assert Proof.objects.order_by("-id").first().asked_by == "sam@example.com"  # type: ignore[union-attr]
    assert Job.objects.get(name="prove").ended_at


@pytest.mark.django_db(transaction=True)
def test_a_job_runs_even_if_the_clock_was_set_back(exchange: StandInExchange) -> None:
    schedule.run_jobs()
    Job.objects.update(due_at=timezone.now() + timedelta(days=400))
    schedule.run_jobs()
    assert Proof.objects.count() == 2
    schedule.run_jobs()
    assert Proof.objects.count() == 2


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("took_seconds", "pause_seconds"), [(5, 595), (100, 500), (400, 600), (2000, 1600), (36_000, 0)], ids="{} s".format
)
def test_proofs_that_take_long_are_made_less_often(
    took_seconds: int, pause_seconds: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    proofs_begun = []

    def prove_for_long(asked_by: str) -> None:
        proofs_begun.append(asked_by)
        took = timedelta(seconds=took_seconds)
        Job.objects.filter(name=schedule.PROVE).update(began_at=F("began_at") - took, due_at=F("due_at") - took)

    monkeypatch.setattr(schedule, "EVERY_SECONDS", {schedule.PROVE: schedule.EVERY_SECONDS[schedule.PROVE]})
    monkeypatch.setitem(schedule.WORK, schedule.PROVE, prove_for_long)
    schedule.run_jobs()
    job = Job.objects.get(name=schedule.PROVE)
    assert job.ended_at
    pause = max(0.0, (job.due_at - job.ended_at).total_seconds())
    assert pause == pytest.approx(pause_seconds, abs=60)
    if pause_seconds:
        schedule.run_jobs()
        assert proofs_begun == [""]
        schedule.request_job(schedule.PROVE, "sam@example.com")
        schedule.run_jobs()
        assert proofs_begun == ["", "sam@example.com"]


@pytest.mark.django_db(transaction=True)
def test_a_proof_that_is_requested_during_another_one_follows_it(monkeypatch: pytest.MonkeyPatch) -> None:
    proofs_begun = []

    def prove_while_somebody_asks(asked_by: str) -> None:
        proofs_begun.append(asked_by)
        if not asked_by:
            schedule.request_job(schedule.PROVE, "sam@example.com")
            Job.objects.filter(name=schedule.PROVE).update(began_at=F("began_at") - timedelta(seconds=100))

    monkeypatch.setattr(schedule, "EVERY_SECONDS", {schedule.PROVE: schedule.EVERY_SECONDS[schedule.PROVE]})
    monkeypatch.setitem(schedule.WORK, schedule.PROVE, prove_while_somebody_asks)
    schedule.run_jobs()
    schedule.run_jobs()
    assert proofs_begun == ["", "sam@example.com"]


def test_an_open_exception_does_not_hide_newer_ones(
    carol: Customer, exchange_without_history: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many differences of one kind there are, each reconciliation finds some new ones."""
    monkeypatch.setattr("office.reconcile.FINDINGS_MAX", 2)
    for _ in range(5):
        order = Order(uuid7(), "KO", "BUY", 1, Decimal(100), timezone.now() + timedelta(seconds=30))
        gateway.execute([order])
    counts = []
    for _ in range(3):
        reconcile()
        counts.append(Case.objects.filter(kind=Kind.UNKNOWN_HERE).count())
    assert counts == [2, 4, 5]


@pytest.mark.django_db(transaction=True)
def test_books_that_do_not_balance_are_an_exception(exchange: StandInExchange) -> None:
    from tests.people import open_account

    dave = open_account("dave@example.com", Decimal(100))
    with connection.cursor() as cursor:
        cursor.execute("UPDATE accounts_balance SET amount = amount + 1 WHERE customer_id = %s", [dave.id])
    proof = proofs.prove("sam@example.com")
    assert not proof.ok
    case = Case.objects.get(kind=Kind.BOOKS)
    assert case.customer_id == dave.id
    assert (
        case.found == "Balance doesn't match its postings: the balance is 101.0000 USD, its postings add up to 100.0000"
    )
    assert str(case) == "The books do not balance: Balance doesn't match its postings"


@pytest.mark.django_db(transaction=True)
def test_a_failed_job_is_shown_and_retried(exchange: StandInExchange) -> None:
    exchange.faults(down=True)
    schedule.run_jobs()
    job = Job.objects.get(name="reconcile")
    assert job.failure
    assert job.ended_at
    assert (job.due_at - job.ended_at).total_seconds() <= schedule.RETRY_SECONDS


@pytest.mark.django_db(transaction=True)
def test_scheduled_proofs_are_of_changes_between_full_ones(
    exchange: StandInExchange, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tests.people import open_account

    rests: list[float] = []
    monkeypatch.setattr("accounts.audit.time", SimpleNamespace(monotonic=time.monotonic, sleep=rests.append))
    dave = open_account("dave@example.com", Decimal(100))
    prove = schedule.WORK[schedule.PROVE]

    def proved(asked_by: str = "") -> Proof:
        rests.clear()
        prove(asked_by)
        return Proof.objects.order_by("-id")[0]

    first = proved()
    assert (first.extent, first.changed, first.ok, any(rests)) == ("everything", None, True, False)
    deposit(dave.id, Decimal(5))
    second = proved()
    assert (second.extent, second.changed, second.earlier, second.ok) == ("changes", 1, first, True)
    assert all(rests), "nobody waits for it, so trading goes first"
    assert proofs.last_full(second) == first
    third = proved("sam@example.com")
    assert (third.extent, third.full_because, any(rests)) == ("everything", "", False)
    with connection.cursor() as cursor:
        cursor.execute("UPDATE accounts_balance SET amount = amount + 1 WHERE customer_id = %s", [dave.id])
    assert (proved().ok, proved().extent) == (False, "everything")
    with connection.cursor() as cursor:
        cursor.execute("UPDATE accounts_balance SET amount = amount - 1 WHERE customer_id = %s", [dave.id])
    fixed = proved()
    assert (fixed.extent, fixed.full_because, fixed.ok) == (
        "everything",
        "there is no earlier proof to start from",
        True,
    )
    assert proved().extent == "changes"


def test_everything_is_proved_once_a_day(db: None) -> None:
    assert proofs.full_one_is_due()
    ProofFactory.create(at=timezone.now() - timedelta(hours=proofs.FULL_EVERY_HOURS - 1))
    assert not proofs.full_one_is_due()
    ProofFactory.create(earlier=Proof.objects.get(), changed=0)
    assert not proofs.full_one_is_due()


def test_an_old_full_proof_makes_another_one_due_whatever_followed(db: None) -> None:
    old = ProofFactory.create(at=timezone.now() - timedelta(hours=proofs.FULL_EVERY_HOURS + 1))
    ProofFactory.create(earlier=old, changed=0)
    assert proofs.full_one_is_due()
