"""Lots: which lots a sale closes, its gain, and building the lots of old trades."""

from datetime import date
from decimal import Decimal
from io import StringIO
from typing import Any
from uuid import uuid4

import pytest
from django.core.management import call_command
from django.db import connection, transaction
from django.test import Client
from hypothesis import given
from hypothesis import strategies as st

from accounts.audit import BOOKS, examine
from accounts.gains import gains_of, open_lots_of, totals_of
from accounts.ledger import open_books
from accounts.lots import Disposal, LotChanges, Opening, changes_of, is_long_term
from accounts.management.commands import build_lots
from accounts.models import Balance, Customer, Lot, LotClosing, LotMethod, Posting
from tests.people import claim, send_report
from trades.audit import TRADES
from trades.models import Status, Trade
from trades.place import place_trade

CAUSE = "0193a9a0-0000-7000-8000-000000000000"


def trade(customer: Customer, type: str, quantity: int, price: str, day: str, ticker: str = "KO") -> Trade:
    """Place and fill a trade on a past day."""
    trade, _ = place_trade(customer.id, ticker, type, quantity)
    claim(customer)
    send_report(trade, Status.FILLED, Decimal(price), executedAt=f"{day}T15:04:05.000000Z")
    claim(customer)
    trade.refresh_from_db()
    assert trade.status == Status.FILLED
    return trade


def closed_by(sale: Trade) -> list[tuple[str, int, str, str]]:
    return [
        (closing.acquired_on.isoformat(), closing.quantity, f"{closing.cost:.2f}", f"{closing.gain:.2f}")
        for closing in LotClosing.objects.filter(cause=sale.id).order_by("id")
    ]


@pytest.mark.parametrize(
    ("acquired", "closed", "is_long"),
    [
        ("2025-03-03", "2026-03-03", False),
        ("2025-03-03", "2026-03-04", True),
        ("2024-02-29", "2025-02-28", False),
        ("2024-02-29", "2025-03-01", True),
        ("2023-02-28", "2024-02-28", False),
        ("2023-02-28", "2024-02-29", True),
        ("2025-12-31", "2026-01-02", False),
    ],
)
def test_long_term_is_more_than_a_year(db: None, acquired: str, closed: str, is_long: bool) -> None:
    days = date.fromisoformat(acquired), date.fromisoformat(closed)
    assert is_long_term(*days) is is_long
    with connection.cursor() as cursor:  # the audit's own condition
        cursor.execute("SELECT %s::date > %s::date + interval '1 year'", [days[1], days[0]])
        assert cursor.fetchone() == (is_long,)


@pytest.mark.parametrize(
    ("method", "closings"),
    [
        ("fifo", [("2026-01-05", 2, "20.00", "28.00"), ("2026-01-06", 1, "30.00", "-6.00")]),
        ("lifo", [("2026-01-07", 2, "40.00", "8.00"), ("2026-01-06", 1, "30.00", "-6.00")]),
        ("highest_cost", [("2026-01-06", 2, "60.00", "-12.00"), ("2026-01-07", 1, "20.00", "4.00")]),
    ],
)
def test_a_sale_closes_lots_by_the_accounts_method(bob: Customer, method: str, closings: list[Any]) -> None:
    for day, price in (("2026-01-05", "10"), ("2026-01-06", "30"), ("2026-01-07", "20")):
        trade(bob, "BUY", 2, price, day)
    Balance.objects.filter(customer=bob).update(lot_method=method)
    sale = trade(bob, "SELL", 3, "24", "2026-01-08")
    assert closed_by(sale) == closings
    assert sale.lot_method == method
    assert sum(lot.remaining for lot in open_lots_of(bob.id)) == 3
    assert examine(BOOKS + TRADES).ok


def test_the_method_is_frozen_when_the_sale_is_claimed(bob: Customer) -> None:
    trade(bob, "BUY", 1, "10", "2026-01-05")
    trade(bob, "BUY", 1, "30", "2026-01-06")
    sale, _ = place_trade(bob.id, "KO", "SELL", 1)
    claim(bob)
    Balance.objects.filter(customer=bob).update(lot_method=LotMethod.LIFO)
    send_report(sale, Status.FILLED, Decimal(24), executedAt="2026-01-07T15:04:05.000000Z")
    claim(bob)
    assert closed_by(sale) == [("2026-01-05", 1, "10.00", "14.00")]


def test_a_fill_reads_and_writes_with_one_statement_each(bob: Customer, django_assert_num_queries: Any) -> None:
    trade(bob, "BUY", 3, "10", "2026-01-05")
    with transaction.atomic():
        books = open_books([bob.id])
        books.load_shares([(bob.id, "KO")])
        books[bob.id].sell(uuid4(), "KO", 2, Decimal(10), Decimal(20))
        with django_assert_num_queries(2):  # the lots; then everything is written
            books.write()
        books[bob.id].buy(uuid4(), "KO", 2, Decimal(10), Decimal(20))
        with django_assert_num_queries(2):  # the unsettled sales; then everything is written
            books.write()
        transaction.set_rollback(True)


def test_a_sale_reads_no_more_lots_than_it_has_shares(bob: Customer) -> None:
    for _ in range(4):
        trade(bob, "BUY", 2, "10", "2026-01-05")
    disposal = Disposal(bob.id, "KO", Posting.objects.latest("id").cause, date(2026, 1, 6), 1, Decimal(5))
    changes = changes_of([disposal])
    assert len(changes.changed) == 1
    assert changes.open_lots[bob.id, "KO"] == list(changes.changed.values())


def test_a_loss_is_a_wash_sale_if_the_stock_was_bought_within_thirty_days(bob: Customer) -> None:
    trade(bob, "BUY", 2, "30", "2026-01-05")
    trade(bob, "SELL", 1, "20", "2026-03-05")  # a loss; the rest of its lot is older than 30 days
    trade(bob, "SELL", 1, "20", "2026-03-06")  # another loss; the stock is bought again within 30 days
    trade(bob, "BUY", 1, "10", "2026-04-05")
    trade(bob, "SELL", 1, "15", "2026-04-06")  # a gain is never a wash sale
    flags = {closing.closed_on.isoformat(): closing.is_wash_sale for closing in gains_of(bob.id, 2026)}
    assert flags == {"2026-03-05": False, "2026-03-06": True, "2026-04-06": False}


def test_selling_a_whole_lot_within_thirty_days_is_not_a_wash_sale(bob: Customer) -> None:
    trade(bob, "BUY", 2, "30", "2026-01-05")
    trade(bob, "SELL", 2, "20", "2026-01-06")
    trade(bob, "BUY", 2, "30", "2026-03-05")
    trade(bob, "SELL", 1, "20", "2026-03-06")  # the other share was bought within 30 days
    flags = {closing.closed_on.isoformat(): closing.is_wash_sale for closing in gains_of(bob.id, 2026)}
    assert flags == {"2026-01-06": False, "2026-03-06": True}


def remove_lots(customer: Customer) -> None:
    """Put a customer's rows in the state of a database from before lots existed."""
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute("ALTER TABLE accounts_posting DISABLE TRIGGER USER")
        cursor.execute("ALTER TABLE accounts_lot DISABLE TRIGGER USER")
        cursor.execute("ALTER TABLE accounts_lotclosing DISABLE TRIGGER USER")
        cursor.execute("DELETE FROM accounts_lotclosing WHERE customer_id = %s", [customer.id])
        cursor.execute("DELETE FROM accounts_lot WHERE customer_id = %s", [customer.id])
        cursor.execute("UPDATE accounts_posting SET settles_on = NULL WHERE customer_id = %s", [customer.id])
        for table in ("trades_trade",):
            cursor.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER")
            cursor.execute(
                f"UPDATE {table} SET executed_at = NULL, settles_on = NULL, lot_method = NULL WHERE customer_id = %s",
                [customer.id],
            )
            cursor.execute(f"ALTER TABLE {table} ENABLE TRIGGER USER")
        for table in ("accounts_posting", "accounts_lot", "accounts_lotclosing"):
            cursor.execute(f"ALTER TABLE {table} ENABLE TRIGGER USER")


@pytest.mark.django_db(transaction=True)
def test_lots_of_past_trades_are_built_and_pass_the_audit(alice: Customer, bob: Customer) -> None:
    trade(bob, "BUY", 3, "10", "2026-01-05")
    trade(bob, "SELL", 1, "12", "2026-01-06")
    remove_lots(alice)
    remove_lots(bob)
    assert examine(BOOKS + TRADES).ok  # old data passes the audit as it is
    output = StringIO()
    call_command("build_lots", "--batch=1", stdout=output)
    assert output.getvalue().splitlines()[-1] == "Every posting has its date, and every share its lot."
    assert "of 8 postings" in output.getvalue()
    assert not Posting.objects.filter(settles_on=None).exists()
    assert Lot.objects.filter(customer=bob).values_list("remaining", "remaining_cost").get() == (2, Decimal(20))
    assert totals_of(gains_of(bob.id, LotClosing.objects.get().closed_on.year))[False].gain == 2
    assert examine(BOOKS + TRADES).ok
    call_command("build_lots", stdout=output)  # a second run changes nothing
    assert Lot.objects.filter(customer=bob).count() == 1


@pytest.mark.django_db(transaction=True)
def test_an_interrupted_build_continues(alice: Customer, bob: Customer, monkeypatch: pytest.MonkeyPatch) -> None:
    trade(bob, "BUY", 3, "10", "2026-01-05")
    remove_lots(alice)
    remove_lots(bob)
    original, calls = build_lots.build_lots_of, []

    def stop(customer_ids: list[int]) -> int:
        calls.append(customer_ids)
        built = original(customer_ids)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return built

    monkeypatch.setattr(build_lots, "build_lots_of", stop)
    with pytest.raises(KeyboardInterrupt):
        call_command("build_lots", "--batch=1", stdout=StringIO())
    assert Posting.objects.filter(settles_on=None).values_list("customer_id", flat=True).distinct().count() == 1
    assert examine(BOOKS + TRADES).ok
    call_command("build_lots", "--batch=1", stdout=StringIO())
    assert len(calls) == 3
    assert not Posting.objects.filter(settles_on=None).exists()
    assert examine(BOOKS + TRADES).ok


def test_a_sale_builds_the_past_lots_that_it_needs(bob: Customer) -> None:
    trade(bob, "BUY", 3, "10", "2026-01-05")
    remove_lots(bob)
    sale = trade(bob, "SELL", 2, "12", "2026-01-06")
    assert [(quantity, cost, gain) for _, quantity, cost, gain in closed_by(sale)] == [(2, "20.00", "4.00")]
    assert examine(BOOKS + TRADES).ok


TRADES_OF_A_STOCK = st.lists(
    st.tuples(st.booleans(), st.integers(1, 50), st.integers(0, 60), st.decimals("0.0001", "90", places=4)),
    min_size=1,
    max_size=25,
)


@given(TRADES_OF_A_STOCK, st.sampled_from(LotMethod.values))
def test_parts_of_a_lot_always_add_up(trades: list[tuple[bool, int, int, Decimal]], method: str) -> None:
    changes, held, cost, proceeds = LotChanges(), 0, Decimal(0), Decimal(0)
    for is_buy, quantity, day, price in trades:
        day_traded = date.fromordinal(date(2026, 1, 1).toordinal() + day)
        cause: Any = CAUSE
        if is_buy:
            changes.apply(Opening(1, "KO", cause, day_traded, quantity, price * quantity))
            held, cost = held + quantity, cost + price * quantity
        elif quantity <= held:
            changes.apply(Disposal(1, "KO", cause, day_traded, quantity, price * quantity, method))
            held, proceeds = held - quantity, proceeds + price * quantity
    lots = list(changes.changed.values())
    assert not changes.short
    assert sum(lot.remaining for lot in lots) == held == sum(lot.remaining for lot in changes.open_lots[1, "KO"])
    closed_cost = sum((row[7] for row in changes.closings), Decimal(0))
    assert closed_cost + sum((lot.remaining_cost for lot in lots), Decimal(0)) == cost
    assert sum((row[8] for row in changes.closings), Decimal(0)) == proceeds
    assert all(row[9] == row[8] - row[7] and row[6] > 0 for row in changes.closings)
    assert all(lot.remaining_cost == 0 for lot in lots if lot.remaining == 0)


def test_the_api_and_the_pages_show_lots_and_gains(bob: Customer, api_of: Any, client: Client) -> None:
    trade(bob, "BUY", 3, "10", "2025-01-06")
    sale = trade(bob, "SELL", 1, "12.5", "2026-01-07")
    api = api_of(bob)
    lots = api.get("/api/v1/lots?stockTicker=ko").json()
    assert (lots["method"], lots["next"]) == ("fifo", None)
    assert [(lot["acquiredOn"], lot["remaining"], lot["cost"]) for lot in lots["results"]] == [
        ("2025-01-06", 2, "20.0000")
    ]
    assert api.get("/api/v1/lots?stockTicker=IBM").json()["results"] == []
    gains = api.get("/api/v1/gains?year=2026").json()
    assert gains["longTerm"] == {"proceeds": "12.5000", "cost": "10.0000", "gain": "2.5000"}
    assert gains["shortTerm"]["gain"] == "0.0000"
    assert gains["results"][0] | {"tradeId": str(sale.id), "term": "long", "washSale": False} == gains["results"][0]
    assert api.get("/api/v1/gains?year=2025").json()["results"] == []
    assert api.get("/api/v1/gains?year=1999").status_code == 400
    output = api.get("/api/v1/gains?year=2026&format=csv")
    assert output["Content-Type"].startswith("text/csv")
    assert f"KO,1,2025-01-06,2026-01-07,12.5000,10.0000,2.5000,long,,{sale.id}" in output.content.decode()
    client.force_login(bob)
    page = client.get("/gains?year=2026").content.decode()
    assert "+$2.50" in page
    assert client.get("/gains.csv?year=2026").content == output.content
    pdf = client.get("/gains.pdf?year=2026")
    assert pdf.content.startswith(b"%PDF")
    assert pdf.content == client.get("/gains.pdf?year=2026").content
    assert client.get("/gains?year=1999").status_code == 404
    client.post("/gains/method", {"method": "lifo"})
    assert Balance.objects.get(customer=bob).lot_method == LotMethod.LIFO
    assert client.post("/gains/method", {"method": "luck"}).status_code == 404


def test_a_busy_years_gains_come_in_parts(
    bob: Customer, api_of: Any, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("gains_csv", "gains_pages"):
        monkeypatch.setattr(f"accounts.{module}.PIECES_A_FILE", 2)
    for module in ("gains_document", "gains_pages"):
        monkeypatch.setattr(f"accounts.{module}.PIECES_A_DOCUMENT", 2)
    trade(bob, "BUY", 3, "10", "2025-01-06")
    for day in (7, 8, 9):
        trade(bob, "SELL", 1, "12.5", f"2026-01-{day:02}")
    client.force_login(bob)
    page = client.get("/gains?year=2026").content.decode()
    for address in ("/gains.csv?year=2026&amp;part=2", "/gains.pdf?year=2026&amp;part=2"):
        assert f'href="{address}"' in page
        assert client.get(address.replace("&amp;", "&")).status_code == 200
        assert client.get(address.replace("&amp;part=2", "&part=3")).status_code == 404
    csv = "/api/v1/gains?year=2026&format=csv"
    parts = [api_of(bob).get(f"{csv}&part={part}").content.decode().splitlines()[1:] for part in (1, 2)]
    assert [[line.split(",")[3] for line in lines] for lines in parts] == [["2026-01-07", "2026-01-08"], ["2026-01-09"]]
    assert api_of(bob).get(f"{csv}&part=3").status_code == 404
