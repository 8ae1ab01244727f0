"""`manage.py lanes`: how its sessions read tables."""

from collections.abc import Iterator
from decimal import Decimal

import pytest
from django.db import connection

from accounts.models import Customer
from tests.benchmarks.plans import planned
from tests.people import report_body
from trades.management.commands.lanes import look_up_in_indexes
from trades.models import Report, Status, Trade, Type
from trades.place import place_trade
from trades.report import store_reports
from trades.turn import settle_and_claim

# A turn looks up rows of its customers in these. Others, such as the trading controls, are small and read whole.
TABLES = {
    *("accounts_balance", "accounts_position", "accounts_posting", "accounts_lot", "accounts_lotclosing"),
    *("trades_trade", "trades_statuschange", "trades_report"),
}


@pytest.fixture
def lanes_session(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    options = connection.settings_dict["OPTIONS"]
    monkeypatch.setitem(options, "options", options["options"])
    look_up_in_indexes()
    yield
    connection.close()


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("exchange", "lanes_session")
@pytest.mark.parametrize("type", Type)
def test_a_turn_looks_rows_up_even_while_statistics_say_that_tables_are_empty(alice: Customer, type: Type) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SHOW enable_seqscan")
        assert cursor.fetchone() == ("off",)
    place_trade(alice.id, "AAPL", type, 1)
    with planned() as plans:
        trades = settle_and_claim([alice.id], "lanes.1")
    store_reports([report_body(trade, Status.FILLED, Decimal(10)) for trade in trades], Report.Source.CALLBACK)
    with planned() as more_plans:
        settle_and_claim([alice.id], "lanes.1")
    assert Trade.objects.get(id=trades[0].id).status == Status.FILLED
    for plan in plans + more_plans:
        assert not plan.read_whole & TABLES, f"{plan.kind}: {plan.statement}"
