"""The rows that the benchmark loads directly are those that real trades would have left: the audit passes."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from io import StringIO
from typing import Any
from uuid import uuid4

import pytest
from django.core.management import call_command
from django.db import connection

from accounts.models import Lot, Posting
from benchmarks import population
from benchmarks.database import Database
from benchmarks.lots import STRIP
from benchmarks.population import loading, populate
from feed import reader
from tests.people import report_body
from trades import mails
from trades.audit import audit_books
from trades.models import Report, Status, Trade, TradeMail, Type
from trades.place import place_trade
from trades.report import store_reports
from trades.turn import settle_and_claim

pytestmark = pytest.mark.big

CUSTOMERS, TRADES_EACH = 40, 9
DEFINITIONS = """
    SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid), convalidated FROM pg_constraint
    UNION ALL SELECT tablename, indexname, replace(indexdef, 'ONLY ', ''), true FROM pg_indexes
    WHERE schemaname = 'public' AND indexdef NOT LIKE '%% WHERE %%' ORDER BY 1, 2, 3
"""
PARTIAL = "SELECT indexname FROM pg_indexes WHERE schemaname = 'public' AND indexdef LIKE '%% WHERE %%' ORDER BY 1"


def definitions() -> list[Any]:
    with connection.cursor() as cursor:
        cursor.execute(DEFINITIONS)
        rows = cursor.fetchall()
        cursor.execute(PARTIAL)  # by name only: the text of a recreated index's condition has different casts
        return [*rows, *cursor.fetchall()]


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("in_bulk", [False, True], ids=["into indexed tables", "in bulk"])
def test_loaded_trades_pass_the_audit_and_keep_every_constraint(
    administrator: Database, monkeypatch: pytest.MonkeyPatch, in_bulk: bool
) -> None:
    monkeypatch.setattr(population, "TRADES_A_STATEMENT", 100)  # so that several statements are needed
    before = definitions()
    mails.find_ended()
    loaded = populate(
        administrator.connection, CUSTOMERS, TRADES_EACH, connect=administrator.connect if in_bulk else None
    )
    assert definitions() == before
    assert audit_books().findings.violations == []
    mails.find_ended()
    mails.find_ended()
    assert not TradeMail.objects.exists(), "nobody is mailed about loaded trades"
    assert not Posting.objects.filter(settles_on=None).exists()
    assert Lot.objects.count() == CUSTOMERS * TRADES_EACH
    trades = Trade.objects.filter(customer_id__gte=loaded.first_id)
    assert trades.count() == CUSTOMERS * TRADES_EACH
    customer_id = loaded.first_id + 1
    (events,) = reader.read([(customer_id, reader.Cursor(0, 0))], reader.latest_cursor(), 1000)
    trade_ids = list(trades.filter(customer_id=customer_id).order_by("sequence").values_list("id", flat=True))
    assert [event.trade.id for event in events if event.trade] == [trade_id for trade_id in trade_ids for _ in range(3)]


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("exchange")
def test_loaded_rows_are_as_wide_as_those_of_real_trades(administrator: Database) -> None:
    """Otherwise the benchmark would report another size on disk than real trades have."""
    loaded = populate(administrator.connection, CUSTOMERS, 4)
    widths = {table: width(table) for table in WITH_TRADES}
    ids = [loaded.first_id + number for number in range(CUSTOMERS)]
    for customer_id in ids:
        place_trade(customer_id, "AAPL", Type.BUY, population.SHARES_A_TRADE)
    trades = settle_and_claim(ids, "lanes.1")
    store_reports(
        [report_body(trade, Status.FILLED, Decimal(10), executionId=str(uuid4())) for trade in trades],
        Report.Source.CALLBACK,
    )
    settle_and_claim(ids, "lanes.1")
    assert Trade.objects.filter(status=Status.FILLED).count() == CUSTOMERS * 5
    for table in WITH_TRADES:
        assert widths[table] == pytest.approx(width(table, 5), rel=0.05), table


WITH_TRADES = {
    "trades_trade": "id", "trades_statuschange": "trade_id", "trades_report": "trade_id", "accounts_posting": "cause",
    "accounts_lot": "cause",
}  # fmt: skip


def width(table: str, sequence: int = 4) -> float:
    """Return the average bytes of the rows that belong to the customers' trades of this number."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT avg(pg_column_size(row.*)) FROM {table} AS row "
            f"JOIN trades_trade AS trade ON trade.id = row.{WITH_TRADES[table]} WHERE trade.sequence = %s",
            [sequence],
        )
        return float(cursor.fetchone()[0])


@pytest.mark.django_db(transaction=True)
def test_settlement_dates_are_those_of_the_calendar(administrator: Database) -> None:
    """The lots and dates that `build_lots` finds for trades around Thanksgiving are those that were loaded."""
    midnight = datetime(2026, 11, 26, 5, tzinfo=UTC)
    populate(administrator.connection, CUSTOMERS, TRADES_EACH, now=midnight + timedelta(minutes=4))
    days = Trade.objects.order_by("settles_on", "executed_at").distinct("settles_on").values_list("settles_on")
    assert [day for (day,) in days] == [date(2026, 11, 27)], "of Wednesday's and Thursday's alike"
    with loading(administrator.connection):
        for statement in STRIP:
            administrator.connection.execute(statement)
    call_command("build_lots", stdout=StringIO())
    assert Lot.objects.count() == CUSTOMERS * TRADES_EACH
    assert audit_books().findings.violations == []


@pytest.mark.django_db(transaction=True)
def test_the_audit_finds_wrongly_loaded_rows(administrator: Database) -> None:
    loaded = populate(administrator.connection, 2, 1)
    administrator.connection.execute(
        "UPDATE accounts_balance SET amount = amount + 1 WHERE customer_id = %s", [loaded.first_id]
    )
    assert not audit_books().findings.ok
