"""Lists stay fast with big tables: no counting, and bounded reads.

These tests check the causes: few statements, no count(*), no offset. `benchmarks/office.py` measures the pages with
1,000,000 trades and 100,000 customers.
"""

import re
from collections.abc import Callable

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from accounts.models import Customer
from office.roles import Role
from office.tables import export
from trades.models import Trade, Type
from trades.place import place_trade

QUERIES_MAX = 20


@pytest.mark.parametrize("filters", ["status=open", "status=PLACED", "age=5", "lane=3"])
def test_open_trades_are_found_by_index(browser_of: Callable[[Role], Client], alice: Customer, filters: str) -> None:
    place_trade(alice.id, "IBM", Type.BUY, 1)
    with CaptureQueriesContext(connection) as captured:
        browser_of(Role.SUPPORT).get(f"/admin/trades/trade/?{filters}")
    pages = [query["sql"] for query in captured if "LIMIT 51" in query["sql"] and "trades_trade" in query["sql"]]
    assert pages or filters == "lane=3"
    assert all('"trades_trade"."id" IN (' in page for page in pages), pages


@pytest.mark.parametrize(
    "page",
    [
        "trades/trade/", "trades/trade/?status=open", "trades/trade/?status=FILLED&ticker=AAPL",
        "trades/trade/?reason=expired", "trades/trade/?lane=3", "trades/trade/?age=60", "trades/trade/?day=2026-11-22",
        "trades/trade/?customer=1", "trades/trade/?q=alice@example.com", "trades/report/",
        "trades/report/?outcome=settled",
        "exchange/call/", "accounts/customer/", "accounts/customer/?q=ali", "accounts/posting/",
        "accounts/posting/?customer=1", "accounts/lot/?customer=1", "accounts/lot/?state=open",
        "accounts/posting/?ticker=AAPL", "accounts/signin/",
        "accounts/signin/?customer=1", "accounts/signin/?kind=wrong_password", "accounts/adjustment/", "office/case/",
        "office/auditentry/", "office/auditentry/?staff=x@example.com", "find/?q=ali", "controls/",
        "TRADE", "CUSTOMER",
    ],
)  # fmt: skip
def test_pages_make_few_queries_and_count_no_rows(
    browser_of: Callable[[Role], Client], alice: Customer, page: str
) -> None:
    for _ in range(60):
        place_trade(alice.id, "IBM", Type.BUY, 1)
    browser = browser_of(Role.COMPLIANCE)
    trade = Trade.objects.earliest("sequence")
    queries_max = 30 if page == "CUSTOMER" else QUERIES_MAX  # not a list, but a dozen sections about one customer
    pages = {"TRADE": f"trades/trade/{trade.id}/change/", "CUSTOMER": f"accounts/customer/{alice.id}/change/"}
    page = pages.get(page, page)
    with CaptureQueriesContext(connection) as captured:
        assert browser.get(f"/admin/{page}").status_code in {200, 302}
    statements = [query["sql"] for query in captured if not query["sql"].startswith(("SAVEPOINT", "RELEASE"))]
    assert len(statements) <= queries_max, "\n".join(statements)
    tables = "trades_trade|trades_report|trades_statuschange|accounts_(customer|posting|signin)|exchange_call"
    count_of_big_table = rf"COUNT\(.*FROM \"({tables})"
    counting = [statement for statement in statements if re.search(count_of_big_table, statement, re.IGNORECASE)]
    assert not counting
    assert not [statement for statement in statements if " OFFSET " in statement and "LIMIT 1 " not in statement]


@pytest.mark.usefixtures("db")
def test_an_export_has_a_limited_number_of_rows_and_reads_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export, "ROWS_MAX", 3)

    def lines(count: int) -> tuple[list[str], int]:
        numbers = iter(range(count))
        response = export.csv_response("rows", [("row", lambda row: row)], numbers)
        return response.content.decode().splitlines(), count - len(list(numbers))

    assert lines(3) == (["row", "0", "1", "2"], 3)
    note = '"There are more than 3 rows. Filter the list, and export it in parts."'
    assert lines(100) == (["row", "0", "1", "2", note], 4)
