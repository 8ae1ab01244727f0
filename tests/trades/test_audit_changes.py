"""The audit of changes: which rows count as changed, what it examines, and when it examines everything."""

import dataclasses
from collections.abc import Iterator
from decimal import Decimal
from threading import Event, Thread
from typing import Any

import pytest
from django.db import connection, transaction
from django.utils import timezone
from pytest_django.plugin import DjangoDbBlocker

from accounts.audit import examine
from accounts.audit.changes import LAST_UUID, TRANSACTIONS_MAX, find_changes
from accounts.funding import deposit
from accounts.models import Customer
from tests.factories import CorporateActionFactory, EntitlementFactory
from tests.guarantees import lift_guarantees
from tests.people import claim, open_account, receive_shares, send_report
from tests.planted import changes_since, examine_changes, mark_now, shared_books
from tests.trades.test_audit import books
from trades.audit import ALL_RULES, TABLES, Mark, audit_books
from trades.models import Status, Trade, Type
from trades.place import place_trade

POST = """
    INSERT INTO accounts_posting (customer_id, ticker, kind, cause, change, total, settles_on)
    SELECT customer_id, {ticker}, {kind}, {cause}, {change}, {total}, settles_on FROM accounts_posting
    WHERE customer_id = %(alice)s AND ticker = {ticker} ORDER BY id DESC LIMIT 1
"""


def insert_status_change(name: str, from_status: str, to_status: str, xact: str = "1") -> str:
    return (
        "INSERT INTO trades_statuschange (trade_id, from_status, to_status, reason, by, customer_id, xact) "
        f"SELECT id, '{from_status}', '{to_status}', '', '', customer_id, {xact} FROM trades_trade "
        f"WHERE id = %({name})s"
    )


@pytest.fixture
def mark(ids: dict[str, Any]) -> Mark:
    return mark_now()


def change(statement: str, ids: dict[str, Any]) -> None:
    lift_guarantees()
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement, ids)
        assert cursor.rowcount


@pytest.mark.django_db
class TestChanges:
    @pytest.fixture(scope="class")
    @classmethod
    def ids(cls, django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[dict[str, Any]]:
        with shared_books(books, django_db_blocker) as ids:
            yield ids

    def test_nothing_has_changed(self, mark: Mark) -> None:
        changes = changes_since(mark)
        assert (changes.everything, changes.customers, changes.cause, changes.since) == ("", set(), LAST_UUID, None)
        assert changes.mark == mark
        assert examine_changes(ALL_RULES, mark).ok

    def test_only_customers_who_traded_are_examined(self, mark: Mark, ids: dict[str, Any]) -> None:
        with transaction.atomic():
            trade, _ = place_trade(ids["bob"], "AAPL", Type.BUY, 1)
        changes = changes_since(mark)
        assert (changes.everything, changes.customers, changes.cause) == ("", {ids["bob"]}, str(trade.id))
        assert examine_changes(ALL_RULES, mark).ok

    def test_an_older_trade_that_ends_after_the_mark_is_examined(self, mark: Mark, ids: dict[str, Any]) -> None:
        send_report(Trade.objects.get(id=ids["selling"]), Status.FILLED, Decimal(101))
        claim(Customer.objects.get(id=ids["bob"]))
        changes = changes_since(mark)
        assert (changes.everything, changes.customers) == ("", {ids["bob"]})
        assert changes.cause == str(ids["selling"])
        assert changes.since is not None
        assert changes.since < timezone.now()
        assert examine_changes(ALL_RULES, mark).ok

    def test_earlier_violations_are_left_to_the_full_proof(self, ids: dict[str, Any]) -> None:
        change("UPDATE accounts_balance SET amount = amount + 1 WHERE customer_id = %(alice)s", ids)
        mark = mark_now()
        change("UPDATE accounts_balance SET amount = amount + 1 WHERE customer_id = %(bob)s", ids)
        name = "balance_is_the_sum_of_its_postings"
        (found,) = [row for row in examine_changes(ALL_RULES, mark).violations if row["rule"] == name]
        assert found["customerId"] == ids["bob"]
        assert examine(ALL_RULES).counts[name] == 2

    @pytest.mark.parametrize(
        ("rule", "statement"),
        [
            ("line_has_no_gap", "UPDATE trades_trade SET sequence = sequence + 1 WHERE id = %(waiting)s"),
            ("line_has_no_gap", "UPDATE trades_trade SET sequence = sequence - 1 WHERE id = %(waiting)s"),
            (
                "line_is_in_the_order_of_time",
                "UPDATE trades_trade SET placed_at = placed_at - interval '1 hour' WHERE id = %(buying)s",
            ),
            ("sent_in_line", insert_status_change("waiting", "PLACED", "IN PROGRESS")),
            ("feed_is_in_order", insert_status_change("waiting", "PLACED", "REJECTED", "0")),
            (
                "posting_follows_the_one_before",
                POST.format(ticker="''", kind="'withdrawal'", cause="uuidv7()", change="-1", total="total"),
            ),
            (
                "posting_follows_the_one_before",
                POST.format(ticker="'MSFT'", kind="'adjustment'", cause="uuidv7()", change="1", total="total + 2"),
            ),
            (
                "posting_is_of_its_kind",
                POST.format(ticker="''", kind="'deposit'", cause="uuidv7()", change="-1", total="total - 1"),
            ),
            (
                "posting_has_its_fill",
                POST.format(ticker="''", kind="'sell'", cause="%(waiting)s", change="1", total="total + 1"),
            ),
            (
                "position_is_the_sum_of_its_postings",
                POST.format(ticker="'MSFT'", kind="'adjustment'", cause="uuidv7()", change="1", total="total + 1"),
            ),
            ("cost_follows_from_its_postings", "UPDATE accounts_position SET cost = cost + 1 WHERE ticker = 'MSFT'"),
            ("lot_came_in", "UPDATE accounts_lot SET cause = uuidv7() WHERE cause = %(bought)s"),
            ("shares_that_came_in_are_a_lot", "UPDATE accounts_lot SET cost = cost + 1 WHERE cause = %(bought)s"),
            ("lot_is_what_remains_and_what_was_closed", "UPDATE accounts_lot SET quantity = quantity + 1"),
            (
                "lot_is_what_remains_and_what_was_closed",
                "INSERT INTO accounts_lotclosing SELECT * FROM jsonb_populate_record(NULL::accounts_lotclosing, "
                "(SELECT to_jsonb(c) || jsonb_build_object('id', 999999, 'cause', uuidv7()) "
                "FROM accounts_lotclosing AS c LIMIT 1))",
            ),
        ],
    )
    def test_an_error_beside_rows_that_have_not_changed_is_found(
        self, rule: str, statement: str, mark: Mark, ids: dict[str, Any]
    ) -> None:
        """Although what comes before the changes is not examined again."""
        change(statement, ids)
        assert changes_since(mark).everything == ""
        assert examine_changes(ALL_RULES, mark).counts[rule] == examine(ALL_RULES).counts[rule] > 0

    @pytest.mark.parametrize(
        ("statement", "reason"),
        [
            ("DELETE FROM trades_statuschange WHERE trade_id = %(sold)s", "3 final rows of trades_statuschange"),
            ("DELETE FROM trades_report WHERE id = %(report)s", "1 final rows of trades_report"),
            ("UPDATE trades_trade SET reason_code = 'x' WHERE id = %(sold)s", "1 final rows of trades_trade"),
            ("DELETE FROM trades_trade WHERE id = %(waiting)s", "1 rows of trades_trade"),
            ("DELETE FROM accounts_position WHERE customer_id = %(bob)s", "1 rows of accounts_position"),
            ("DELETE FROM accounts_lot WHERE remaining > 0 AND customer_id = %(bob)s", "rows of accounts_lot"),
            (
                "INSERT INTO trades_feerate (kind, first_day, per_usd, per_share, source, by) "
                "VALUES ('taf', '2020-01-01', 0.01, 0, 'x', 'x')",
                "trades_feerate has changed",
            ),
        ],
    )
    def test_a_suspicious_change_makes_the_audit_examine_everything(
        self, statement: str, reason: str, mark: Mark, ids: dict[str, Any]
    ) -> None:
        change(statement, ids)
        assert reason in changes_since(mark).everything

    def test_a_deletion_that_an_insertion_covers_up_does_not_add_up(self, mark: Mark, ids: dict[str, Any]) -> None:
        change(
            "WITH gone AS (DELETE FROM accounts_position WHERE customer_id = %(bob)s RETURNING customer_id) "
            "INSERT INTO accounts_position (customer_id, ticker, quantity, held, cost) "
            "SELECT %(alice)s, 'KO', 0, 0, 0 FROM gone",
            ids,
        )
        assert "the shares do not add up" in changes_since(mark).everything

    def test_a_corporate_action_affects_its_holders(self, ids: dict[str, Any]) -> None:
        EntitlementFactory.create(action=CorporateActionFactory.create(), customer_id=ids["bob"])
        mark = mark_now()
        change("UPDATE trades_corporateaction SET numerator = 3", ids)
        assert changes_since(mark).customers == {ids["bob"]}

    @pytest.mark.parametrize(
        ("differs", "reason"),
        [
            ({"cluster": "1"}, "another database system"),
            ({"transaction": 2**62}, "another database system"),
            ({"transaction": -TRANSACTIONS_MAX}, "too many transactions ago"),
            ({"rules": "x"}, "the rules have changed"),
        ],
    )
    def test_everything_is_examined_if_changes_cannot_be_determined(
        self, differs: dict[str, Any], reason: str, mark: Mark
    ) -> None:
        assert (
            reason in find_changes(TABLES, ALL_RULES, dataclasses.replace(mark, **differs), mark.transaction).everything
        )
        assert "no earlier proof" in find_changes(TABLES, ALL_RULES, None).everything

    def test_every_table_that_a_rule_reads_is_watched(self) -> None:
        """A proof of changes would not notice changes in a table that is not watched."""
        with connection.cursor() as cursor:
            tables = set(connection.introspection.table_names(cursor))
        read = {name for name in tables for rule in ALL_RULES if name in rule.violations.replace("(", " ").split()}
        assert read - {"accounts_customer"} == {table.name for table in TABLES}


@pytest.mark.django_db(transaction=True)
class TestCommitted:
    def test_a_transaction_that_commits_late_is_not_missed(self, alice: Customer, bob: Customer) -> None:
        """Its rows exist, uncommitted, during the first proof: neither an order of ids nor a time reveals them."""
        wrote, marked = Event(), Event()

        def deposit_slowly() -> None:
            with transaction.atomic():
                with connection.cursor() as cursor:
                    cursor.execute("UPDATE accounts_balance SET amount = amount + 1 WHERE customer_id = %s", [alice.id])
                wrote.set()
                assert marked.wait(10)
            connection.close()

        thread = Thread(target=deposit_slowly)
        thread.start()
        assert wrote.wait(10)
        deposit(bob.id, Decimal(1))  # gets a later number, and commits earlier
        first = audit_books()
        marked.set()
        thread.join()
        assert (first.is_full, first.full_because, first.findings.ok) == (True, "", True)
        second = audit_books(first.mark, only_changes=True)
        assert (second.full_because, second.is_full) == ("", False)
        assert [row["customerId"] for row in second.findings.violations] == [alice.id]
        assert audit_books().findings.counts == second.findings.counts

    def test_each_proof_continues_from_the_one_before(self, alice: Customer, bob: Customer) -> None:
        receive_shares(alice, "AAPL", 1, Decimal(100))
        first = audit_books(None, only_changes=True)
        assert (first.is_full, first.findings.ok) == (True, True)
        assert first.full_because == "there is no earlier proof to start from"
        carol = open_account("carol-too@example.com", Decimal(50))
        receive_shares(bob, "AAPL", 1, Decimal(100))
        second = audit_books(first.mark, only_changes=True)
        assert (second.findings.ok, second.changed, second.full_because) == (True, 2, "")
        assert (second.customers, second.trades) == (3, 3)
        third = audit_books(second.mark, only_changes=True)
        assert (third.findings.ok, third.changed) == (True, 0)
        deposit(carol.id, Decimal(1))
        assert audit_books(third.mark, only_changes=True).changed == 1
