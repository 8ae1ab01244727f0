"""Placing, executing and reading trades costs the same no matter how many trades exist.

Each step runs unmodified against tables full of past trades. Each of its statements must read growing tables through
an index, and the step must use the indexes that exist for it.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection
from django.test import Client

from accounts import tokens
from accounts.settlement import unsettled_sales_of
from benchmarks.population import Population
from feed import reader
from tests.benchmarks.conftest import CUSTOMERS
from tests.benchmarks.page_plans import whole_reads
from tests.benchmarks.plans import AT_FIRST, LATER, planned
from tests.conftest import StandInExchange
from tests.people import report_body
from trades import mails, queries
from trades.models import Report, Status, Trade, Type
from trades.place import place_trade
from trades.report import store_reports
from trades.search import TradeFilter, find_trades
from trades.sweep import ask_exchange, ring_for_waiting
from trades.turn import settle_and_claim
from web.access import Access
from web.timezones import eastern_today

CUSTOMERS_A_STEP = (1, 40)
GROWING_TABLES = {
    *("accounts_customer", "accounts_token", "accounts_balance", "accounts_position", "accounts_posting"),
    *("accounts_transfer", "trades_tradecounter", "trades_trade", "trades_statuschange", "trades_report"),
}

UPDATED_BY_TRADES = (
    *("accounts_balance", "accounts_position", "trades_tradecounter", "trades_trade", "trades_report"),
)

PRICE = Decimal(10)
RANGES = "status_changes_by_id"  # reads all pages of a range of ids, so it suits only the newest ones
TOKEN = "accounts_token_token_hash_key|accounts_token_token_hash_f1690503_like"  # two indexes on the same column
CLAIMED = "trades_trade_pkey|placed_not_queued"  # by id, or from the few trades in line
every_type = pytest.mark.parametrize("type", Type)
pytestmark = [pytest.mark.big, pytest.mark.django_db]


@pytest.fixture(autouse=True)
def _listing(exchange: StandInExchange) -> None:
    """Provide the list of stocks."""


@pytest.fixture(params=CUSTOMERS_A_STEP)
def customer_ids(past_trades: Population, request: pytest.FixtureRequest) -> list[int]:
    step = CUSTOMERS // request.param // 4 * 4
    return [past_trades.first_id + number * step for number in range(request.param)]


def check(step: Callable[[], object], *indexes: str) -> None:
    """Assert that this step scans no growing table and uses these indexes ("a|b" means either), whatever the values.

    Only a step that names RANGES may use it.
    """
    with planned() as plans:
        step()
    for plan in plans:
        assert not plan.read_whole & GROWING_TABLES, f"{plan.kind}: {plan.statement}"
        assert RANGES in indexes or RANGES not in plan.indexes, f"{plan.kind}: {plan.statement}"
    for kind in (AT_FIRST, LATER):
        used = set[str]().union(*(plan.indexes for plan in plans if plan.kind == kind))
        missing = [index for index in indexes if not used & set(index.split("|"))]
        assert not missing, f"{kind}: {used}"


def place(customer_ids: list[int], type: str = Type.BUY) -> None:
    for customer_id in customer_ids:
        place_trade(customer_id, "AAPL", type, 1)


def in_flight(customer_ids: list[int], type: str = Type.BUY) -> list[Trade]:
    place(customer_ids, type)
    return settle_and_claim(customer_ids, "test")


def report(trades: list[Trade]) -> None:
    store_reports([report_body(trade, Status.FILLED, PRICE) for trade in trades], Report.Source.CALLBACK)


@pytest.mark.usefixtures("past_trades", "static_files")
def test_a_customers_pages_read_big_tables_by_index() -> None:
    assert not (found := whole_reads()), "\n".join(found)


def test_a_token_is_looked_up(past_trades: Population) -> None:
    check(lambda: tokens.find(past_trades.tokens(1)[0]), TOKEN, "accounts_customer_pkey")


def test_a_trade_is_placed(customer_ids: list[int]) -> None:
    check(lambda: place(customer_ids[:1]), "trades_tradecounter_pkey")


def test_a_trade_is_placed_with_a_remembered_grant(past_trades: Population) -> None:
    grant = tokens.find(past_trades.tokens(1)[0])
    assert grant is not None
    access = Access(grant.id, grant.version, confirm=lambda: None)
    check(
        lambda: place_trade(grant.customer_id, "AAPL", Type.BUY, 1, access=access),
        *("accounts_token_pkey", "accounts_customer_pkey", "trades_tradecounter_pkey"),
    )
    assert access.is_confirmed


def test_a_retry_is_found(customer_ids: list[int]) -> None:
    place_trade(customer_ids[0], "AAPL", Type.BUY, 1, key="once")
    check(lambda: place_trade(customer_ids[0], "AAPL", Type.BUY, 1, key="once"), "one_trade_a_key")


@every_type
def test_trades_are_claimed(customer_ids: list[int], type: Type) -> None:
    place(customer_ids, type)
    check(
        lambda: settle_and_claim(customer_ids, "test"),
        *("accounts_balance_pkey", "reports_waiting", "placed_in_line", "one_trade_in_flight", CLAIMED),
        *("events_of_customer", *(["one_position_a_stock"] if type == Type.SELL else [])),
    )


def test_trades_that_cannot_be_covered_are_rejected(customer_ids: list[int]) -> None:
    for customer_id in customer_ids:
        place_trade(customer_id, "AAPL", Type.SELL, 1_000_000)
    check(lambda: settle_and_claim(customer_ids, "test"), "trades_trade_pkey", "events_of_customer")
    assert Trade.objects.filter(status=Status.REJECTED).count() == len(customer_ids)


def test_reports_are_recorded(customer_ids: list[int]) -> None:
    trades = in_flight(customer_ids)
    check(lambda: report(trades), "trades_trade_pkey", "trades_report_digest_key")


@every_type
def test_reports_are_settled(customer_ids: list[int], type: Type) -> None:
    trades = in_flight(customer_ids, type)
    report(trades)
    check(
        lambda: settle_and_claim(customer_ids, "test"),
        *("accounts_balance_pkey", "reports_waiting", "trades_trade_pkey", "one_position_a_stock"),
        *("trades_report_pkey", "events_of_customer"),
    )
    assert {trade.status for trade in Trade.objects.filter(id__in=[trade.id for trade in trades])} == {Status.FILLED}


def test_the_sweep_finds_waiting_customers(customer_ids: list[int]) -> None:
    place(customer_ids)
    report(in_flight([customer_id + 2 for customer_id in customer_ids]))
    check(lambda: ring_for_waiting("test"), "placed_not_queued", "one_trade_in_flight", "reports_waiting")


def test_the_sweep_finds_trades_in_flight_for_too_long(customer_ids: list[int]) -> None:
    in_flight(customer_ids)
    check(ask_exchange, "one_trade_in_flight", "trades_trade_pkey")


@pytest.mark.parametrize(
    ("criteria", "indexes"),
    [
        (TradeFilter(), ["trade_has_its_place_in_line"]),
        (TradeFilter(below=10), ["trade_has_its_place_in_line"]),
        (TradeFilter(placed_after=datetime(2026, 1, 2, tzinfo=UTC)), ["trade_has_its_place_in_line"]),
        (TradeFilter(statuses=[Status.FILLED]), ["final_by_type"]),
        (TradeFilter(tickers=["KO"]), ["placed_in_line", "one_trade_in_flight", "final_by_ticker"]),
    ],
    ids=["all", "a later page", "since a day", "the filled", "of a stock"],
)
def test_trades_are_listed(past_trades: Population, criteria: TradeFilter, indexes: list[str]) -> None:
    place([past_trades.first_id])
    check(lambda: find_trades(past_trades.first_id, criteria, 50), *indexes)


@pytest.mark.parametrize(
    ("path", "index"),
    [
        ("trades", "trade_has_its_place_in_line"),
        ("postings", "postings_of_customer"),
        ("positions", "one_position_a_stock"),
        ("balance", "accounts_balance_pkey"),
    ],
)
def test_the_api_reads(past_trades: Population, path: str, index: str) -> None:
    client = Client(headers={"Authorization": f"Bearer {past_trades.tokens(1)[0]}"})
    responses = []
    check(lambda: responses.append(client.get(f"/api/v1/{path}")), index, TOKEN)
    assert responses[0].status_code == 200


def test_unsettled_sales_are_read(customer_ids: list[int]) -> None:
    check(lambda: unsettled_sales_of(customer_ids, eastern_today()), "sales_by_settlement")


def test_the_feed_is_read(customer_ids: list[int]) -> None:
    cursors = [(customer_id, reader.Cursor(0, 0)) for customer_id in customer_ids]
    check(
        lambda: reader.read(cursors, reader.latest_cursor(), 20),
        *("events_of_customer", "trades_trade_pkey", "one_posting_a_cause"),
    )


def test_an_update_of_a_hot_row_writes_no_index(past_trades: Population) -> None:
    """Updates stay on the row's page, which keeps room for them (fillfactor), and none of their columns is indexed."""
    before = hot_updates()
    trades = in_flight([past_trades.first_id + number for number in range(0, CUSTOMERS, 200)])
    report(trades)
    settle_and_claim([trade.customer_id for trade in trades], "test")
    for table, each in (("accounts_balance", 2), ("accounts_position", 1), ("trades_tradecounter", 1)):
        updated, hot = (after - earlier for after, earlier in zip(hot_updates()[table], before[table], strict=True))
        assert (updated, hot) == (each * len(trades), each * len(trades)), table


def hot_updates() -> dict[str, tuple[int, int]]:
    """Return how many rows of the hot tables were updated, and how many of these updates wrote no index."""
    with connection.cursor() as cursor:
        cursor.execute(HOT_UPDATES)
        return {table: (updated, hot) for table, updated, hot in cursor.fetchall()}


HOT_UPDATES = """
    SELECT relname, n_tup_upd, n_tup_hot_upd FROM pg_stat_xact_user_tables
    WHERE relname IN ('accounts_balance', 'accounts_position', 'trades_tradecounter')
"""


@pytest.mark.parametrize(
    ("table", "setting"),
    [
        ("accounts_balance", "fillfactor=80"),
        ("accounts_position", "fillfactor=80"),
        ("trades_tradecounter", "fillfactor=80"),
        *((table, "autovacuum_vacuum_scale_factor=0.02") for table in UPDATED_BY_TRADES),
    ],
)
def test_tables_that_trades_update_are_vacuumed_early(table: str, setting: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT reloptions FROM pg_class WHERE oid = %s::regclass", [table])
        assert setting in (cursor.fetchone()[0] or [])


def test_the_newest_ended_trades_are_found(past_trades: Population) -> None:
    mails.find_ended()
    in_flight([past_trades.first_id])
    check(mails.find_ended, RANGES)


def test_mails_are_prepared(customer_ids: list[int]) -> None:
    with connection.cursor() as cursor:
        cursor.execute(LAST_CHANGES, [customer_ids])
        recipients = [mails.Recipient._make((*row, "Ada", "ada@example.com", True)) for row in cursor.fetchall()]
    assert len(recipients) == len(customer_ids)
    check(lambda: mails.prepare(recipients), "events_of_customer", "trades_trade_pkey")


LAST_CHANGES = """
    SELECT customer_id, max(xact), max(id), max(id) FROM trades_statuschange
    WHERE customer_id = ANY (%s) GROUP BY customer_id
"""


def test_a_turn_compares_no_customer_with_all_trades_in_flight(past_trades: Population) -> None:
    customer_ids = [past_trades.first_id + number for number in range(80)]
    passed_over: list[float] = []

    def explain(execute: Any, statement: str, parameters: Any, many: bool, context: dict[str, Any]) -> Any:
        ((plans,),) = execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {statement}", parameters, many, context).fetchall()
        passed_over.append(rows_passed_over(plans[0]["Plan"]))
        return execute(statement, parameters, many, context)

    with connection.execute_wrapper(explain):
        work = queries.read_work(customer_ids, 4)
    assert len(work.placed) == len(customer_ids) / 4
    assert max(passed_over) <= 2 * len(customer_ids), passed_over


def rows_passed_over(node: dict[str, Any]) -> float:
    """Return how many rows a plan compared or read without a match."""
    own = node.get("Rows Removed by Join Filter", 0) + node.get("Rows Removed by Filter", 0)
    return float(own * node["Actual Loops"] + sum(map(rows_passed_over, node.get("Plans", ()))))


def test_a_sequential_scan_is_detected(past_trades: Population) -> None:
    with pytest.raises(AssertionError, match="trades_trade"):
        check(lambda: list(Trade.objects.filter(quantity=1)))
