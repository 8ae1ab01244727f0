"""The audit of the books passes correct books, and names the ids for each broken rule."""

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
from pytest_django.plugin import DjangoDbBlocker

from accounts import audit
from accounts.adjustments import ask_for_adjustment, decide_on_adjustment
from accounts.audit import BOOKS, examine
from accounts.customers import create_customer
from accounts.funding import withdraw
from accounts.models import Balance, Customer, Posting, Transfer
from tests.guarantees import lift_guarantees
from tests.people import claim, receive_shares, send_report
from tests.planted import assert_found, shared_books
from trades.models import Status, Type
from trades.place import place_trade

POST = """
    INSERT INTO accounts_posting (customer_id, ticker, kind, cause, change, total, price)
    VALUES (%(alice)s, {ticker}, {kind}, gen_random_uuid(), {change}, {total}, {price})
"""


def create_books(alice: Customer, bob: Customer) -> dict[str, Any]:
    """Create Alice's and Bob's books with every kind of posting; return the ids by name."""
    withdraw(alice.id, Decimal("12.3456"))
    buy = receive_shares(alice, "MSFT", 3, Decimal("7.0001"))
    sell, _ = place_trade(alice.id, "AAPL", Type.SELL, 10)
    claim(alice)
    send_report(sell, Status.FILLED, Decimal(99))
    claim(alice)
    place_trade(alice.id, "MSFT", Type.SELL, 1)
    claim(alice)
    withdraw(bob.id, Decimal(500))
    approver = create_customer("nobody@example.com", None)
    adjustment = ask_for_adjustment(alice.id, Decimal(7), "goodwill", "Sorry.", bob)
    decide_on_adjustment(adjustment.id, True, approver)
    added = ask_for_adjustment(alice.id, Decimal(5), "dividend", "A split.", bob, ticker="MSFT", price=Decimal("1.5"))
    taken = ask_for_adjustment(alice.id, Decimal(-2), "error", "Too many.", bob, ticker="MSFT")
    for shares in (added, taken):
        decide_on_adjustment(shares.id, True, approver)
    return {
        "alice": alice.id,
        "bob": bob.id,
        "adjustment": adjustment.id,
        "added": added.id,
        "taken": taken.id,
        "deposit": Transfer.objects.get(customer=alice, type="deposit").id,
        "withdrawal": Transfer.objects.get(customer=alice, type="withdrawal").id,
        "buy": buy.id,
        "cash": Posting.objects.get(cause=buy.id, ticker="").id,
        "shares": Posting.objects.get(cause=buy.id, ticker="MSFT").id,
        "first": Posting.objects.filter(customer=alice).earliest("id").id,
        "withdrawn": Posting.objects.get(customer=alice, kind="withdrawal").id,
    }


@pytest.fixture
def ids(alice: Customer, bob: Customer) -> dict[str, Any]:
    return create_books(alice, bob)


def test_correct_books_pass_the_audit(ids: dict[str, Any]) -> None:
    findings = examine(BOOKS)
    assert (findings.ok, findings.violations) == (True, [])
    assert findings.counts == {rule.name: 0 for rule in BOOKS}


def test_empty_books_pass_the_audit(db: None) -> None:
    assert examine(BOOKS).ok


BROKEN: list[tuple[str, str, dict[str, Any]]] = [
    ("nothing_below_zero", "UPDATE accounts_balance SET held = -1 WHERE customer_id = %(bob)s", {"customerId": "bob"}),
    ("nothing_below_zero", "UPDATE accounts_balance SET held = 1 WHERE customer_id = %(bob)s", {"customerId": "bob"}),
    ("nothing_below_zero", "UPDATE accounts_balance SET amount = -1, held = -2", {"customerId": "alice"}),
    ("nothing_below_zero", "UPDATE accounts_position SET held = 7 WHERE ticker = 'MSFT'", {"stockTicker": "=MSFT"}),
    ("nothing_below_zero", "UPDATE accounts_position SET held = -1", {"customerId": "alice", "stockTicker": "=AAPL"}),
    ("nothing_below_zero", "UPDATE accounts_posting SET total = -1 WHERE id = %(cash)s", {"postingId": "cash"}),
    ("nothing_below_zero", "UPDATE accounts_posting SET total = -1 WHERE id = %(shares)s", {"postingId": "shares"}),
    ("customer_has_a_balance", "DELETE FROM accounts_balance WHERE customer_id = %(bob)s", {"customerId": "bob"}),
    (
        "cost_follows_from_its_postings",
        "UPDATE accounts_position SET cost = cost + 0.0001 WHERE ticker = 'AAPL'",
        {"customerId": "alice", "stockTicker": "=AAPL"},
    ),
    (
        "posting_has_the_time_of_its_cause",
        "UPDATE accounts_posting SET created_at = created_at - interval '1 year' WHERE id = %(first)s",
        {"postingId": "first"},
    ),
    (
        "posting_has_the_time_of_its_cause",
        "UPDATE accounts_posting SET created_at = created_at - interval '1 year' WHERE cause = %(adjustment)s",
        {"customerId": "alice"},
    ),
    (
        "only_trades_settle_later",
        "UPDATE accounts_posting SET settles_on = settles_on + 2 WHERE id = %(first)s",
        {"customerId": "alice", "postingId": "first"},
    ),
    (
        "only_trades_settle_later",
        "UPDATE accounts_posting SET settles_on = settles_on - 2 WHERE cause = %(added)s",
        {"cause": "added"},
    ),
    (
        "balance_is_the_sum_of_its_postings",
        "UPDATE accounts_balance SET amount = amount + 0.0001 WHERE customer_id = %(alice)s",
        {"customerId": "alice"},
    ),
    ("balance_is_the_sum_of_its_postings", "DELETE FROM accounts_balance", {"customerId": "bob"}),
    (
        "balance_is_the_sum_of_its_postings",
        "DELETE FROM accounts_posting WHERE customer_id = %(alice)s",
        {"customerId": "alice"},
    ),
    (
        "balance_is_the_sum_of_its_postings",
        "DELETE FROM accounts_posting WHERE id = %(first)s",
        {"customerId": "alice"},
    ),
    (
        "position_is_the_sum_of_its_postings",
        "UPDATE accounts_position SET quantity = quantity + 1 WHERE ticker = 'MSFT'",
        {"customerId": "alice", "stockTicker": "=MSFT"},
    ),
    (
        "position_is_the_sum_of_its_postings",
        "DELETE FROM accounts_position",
        {"customerId": "alice", "stockTicker": "=AAPL"},
    ),
    (
        "position_is_the_sum_of_its_postings",
        "DELETE FROM accounts_posting WHERE ticker = 'MSFT'",
        {"customerId": "alice", "stockTicker": "=MSFT"},
    ),
    (
        "lots_are_the_position",
        "UPDATE accounts_lot SET remaining = remaining - 1 WHERE ticker = 'MSFT' AND remaining > 0",
        {"customerId": "alice", "stockTicker": "=MSFT"},
    ),
    ("lots_are_the_position", "DELETE FROM accounts_lot", {"customerId": "alice", "stockTicker": "=MSFT"}),
    ("lots_are_the_position", "DELETE FROM accounts_position", {"customerId": "alice", "stockTicker": "=MSFT"}),
    (
        "lots_are_the_position",
        "UPDATE accounts_posting SET settles_on = NULL WHERE id = %(shares)s",
        {"customerId": "alice", "stockTicker": "=MSFT"},
    ),
    (
        "lot_is_what_remains_and_what_was_closed",
        "UPDATE accounts_lotclosing SET quantity = quantity + 1",
        {"customerId": "alice", "stockTicker": "=AAPL"},
    ),
    (
        "lot_is_what_remains_and_what_was_closed",
        "UPDATE accounts_lot SET remaining_cost = remaining_cost + 0.0001 WHERE cause = %(buy)s",
        {"stockTicker": "=MSFT"},
    ),
    (
        "lot_is_what_remains_and_what_was_closed",
        "UPDATE accounts_lotclosing SET customer_id = %(bob)s WHERE ticker = 'AAPL'",
        {"customerId": "alice", "stockTicker": "=AAPL"},
    ),
    (
        "shares_that_came_in_are_a_lot",
        "DELETE FROM accounts_lot WHERE cause = %(added)s",
        {"customerId": "alice", "cause": "added"},
    ),
    (
        "shares_that_came_in_are_a_lot",
        "UPDATE accounts_lot SET cost = cost + 0.0001 WHERE cause = %(buy)s",
        {"postingId": "shares", "cause": "buy"},
    ),
    (
        "lot_came_in",
        "UPDATE accounts_lot SET cause = gen_random_uuid() WHERE cause = %(buy)s",
        {"customerId": "alice", "stockTicker": "=MSFT"},
    ),
    (
        "shares_that_went_out_closed_lots",
        "DELETE FROM accounts_lotclosing WHERE cause = %(taken)s",
        {"customerId": "alice", "cause": "taken"},
    ),
    (
        "shares_that_went_out_closed_lots",
        "UPDATE accounts_lotclosing SET proceeds = proceeds + 1 WHERE ticker = 'AAPL'",
        {"customerId": "alice", "stockTicker": "=AAPL"},
    ),
    (
        "gain_is_proceeds_less_cost",
        "UPDATE accounts_lotclosing SET gain = gain + 1 WHERE ticker = 'AAPL'",
        {"customerId": "alice", "stockTicker": "=AAPL"},
    ),
    (
        "gain_is_proceeds_less_cost",
        "UPDATE accounts_lotclosing SET is_long_term = true WHERE ticker = 'AAPL'",
        {"customerId": "alice"},
    ),
    (
        "posting_follows_the_one_before",
        "UPDATE accounts_posting SET total = total + 1 WHERE id = %(cash)s",
        {"customerId": "alice", "postingId": "cash", "cause": "buy"},
    ),
    (
        "posting_follows_the_one_before",
        "UPDATE accounts_posting SET total = 0 WHERE id = %(shares)s",
        {"postingId": "shares", "stockTicker": "=MSFT"},
    ),
    (
        "posting_follows_the_one_before",
        "UPDATE accounts_posting SET total = total + 1 WHERE id = %(first)s",
        {"postingId": "first"},
    ),
    ("posting_follows_the_one_before", "DELETE FROM accounts_posting WHERE id = %(cash)s", {"customerId": "alice"}),
    (
        "posting_is_of_its_kind",
        "UPDATE accounts_posting SET change = -change WHERE id = %(first)s",
        {"customerId": "alice", "postingId": "first", "cause": "deposit"},
    ),
    (
        "posting_is_of_its_kind",
        "UPDATE accounts_posting SET kind = 'gift' WHERE id = %(first)s",
        {"postingId": "first"},
    ),
    ("posting_is_of_its_kind", "UPDATE accounts_posting SET kind = 'sell' WHERE id = %(cash)s", {"postingId": "cash"}),
    ("posting_is_of_its_kind", "UPDATE accounts_posting SET kind = 'sell' WHERE id = %(shares)s", {"cause": "buy"}),
    ("posting_is_of_its_kind", "UPDATE accounts_posting SET price = 1 WHERE id = %(first)s", {"postingId": "first"}),
    ("posting_is_of_its_kind", "UPDATE accounts_posting SET price = NULL WHERE id = %(cash)s", {"postingId": "cash"}),
    (
        "posting_is_of_its_kind",
        "UPDATE accounts_posting SET change = 0.5 WHERE id = %(shares)s",
        {"postingId": "shares"},
    ),
    ("posting_is_of_its_kind", "UPDATE accounts_posting SET change = 0 WHERE id = %(shares)s", {"postingId": "shares"}),
    ("posting_is_of_its_kind", "UPDATE accounts_posting SET ticker = 'X' WHERE id = %(first)s", {"postingId": "first"}),
    ("posting_is_of_its_kind", "UPDATE accounts_posting SET price = 1 WHERE cause = %(taken)s", {"cause": "taken"}),
    ("posting_is_of_its_kind", "UPDATE accounts_posting SET price = NULL WHERE cause = %(added)s", {"cause": "added"}),
    ("posting_is_of_its_kind", "UPDATE accounts_posting SET change = 1.5 WHERE cause = %(added)s", {"cause": "added"}),
    (
        "posting_is_of_its_kind",
        "UPDATE accounts_posting SET price = 1 WHERE cause = %(adjustment)s",
        {"cause": "adjustment"},
    ),
    (
        "transfer_has_its_posting",
        "DELETE FROM accounts_posting WHERE id = %(first)s",
        {"customerId": "alice", "transferId": "deposit"},
    ),
    (
        "transfer_has_its_posting",
        "INSERT INTO accounts_posting (customer_id, ticker, kind, cause, change, total) "
        "SELECT customer_id, ticker, kind, cause, change, total FROM accounts_posting WHERE id = %(withdrawn)s",
        {"transferId": "withdrawal"},
    ),
    (
        "transfer_has_its_posting",
        "UPDATE accounts_transfer SET amount = amount + 1 WHERE id = %(withdrawal)s",
        {"transferId": "withdrawal"},
    ),
    (
        "transfer_has_its_posting",
        "UPDATE accounts_posting SET change = -change, kind = 'deposit' WHERE id = %(withdrawn)s",
        {"transferId": "withdrawal"},
    ),
    (
        "transfer_has_its_posting",
        "UPDATE accounts_posting SET customer_id = %(bob)s WHERE id = %(first)s",
        {"customerId": "alice", "transferId": "deposit"},
    ),
    (
        "adjustment_has_its_posting",
        "DELETE FROM accounts_posting WHERE cause = %(adjustment)s",
        {"customerId": "alice", "adjustmentId": "adjustment"},
    ),
    (
        "adjustment_has_its_posting",
        "UPDATE accounts_posting SET change = change + 1 WHERE cause = %(adjustment)s",
        {"customerId": "alice", "adjustmentId": "adjustment"},
    ),
    (
        "adjustment_has_its_posting",
        "DELETE FROM accounts_posting WHERE cause = %(added)s",
        {"customerId": "alice", "adjustmentId": "added"},
    ),
    (
        "adjustment_has_its_posting",
        "UPDATE accounts_posting SET ticker = 'AAPL' WHERE cause = %(taken)s",
        {"adjustmentId": "taken"},
    ),
    (
        "adjustment_has_its_posting",
        "UPDATE accounts_posting SET ticker = '' WHERE cause = %(taken)s",
        {"adjustmentId": "taken"},
    ),
    (
        "adjustment_has_its_posting",
        "UPDATE accounts_posting SET price = price + 1 WHERE cause = %(added)s",
        {"adjustmentId": "added"},
    ),
    (
        "adjustment_has_its_posting",
        "INSERT INTO accounts_posting (customer_id, ticker, kind, cause, change, total) "
        "SELECT customer_id, '', kind, cause, change, total FROM accounts_posting WHERE cause = %(taken)s",
        {"adjustmentId": "taken"},
    ),
    (
        "position_is_the_sum_of_its_postings",
        "UPDATE accounts_posting SET change = change + 1 WHERE cause = %(taken)s",
        {"customerId": "alice", "stockTicker": "=MSFT"},
    ),
    (
        "posting_has_its_adjustment",
        "UPDATE accounts_adjustment SET approved = NULL WHERE id = %(taken)s",
        {"customerId": "alice", "cause": "taken"},
    ),
    (
        "posting_has_its_adjustment",
        "UPDATE accounts_adjustment SET approved = false WHERE id = %(adjustment)s",
        {"customerId": "alice", "cause": "adjustment"},
    ),
    (
        "posting_has_its_adjustment",
        "UPDATE accounts_adjustment SET decided_by_id = asked_by_id WHERE id = %(adjustment)s",
        {"customerId": "alice", "cause": "adjustment"},
    ),
    (
        "posting_has_its_transfer",
        "DELETE FROM accounts_transfer WHERE id = %(deposit)s",
        {"customerId": "alice", "postingId": "first", "cause": "deposit"},
    ),
    (
        "posting_has_its_transfer",
        "UPDATE accounts_posting SET customer_id = %(bob)s WHERE id = %(withdrawn)s",
        {"customerId": "bob", "postingId": "withdrawn"},
    ),
    (
        "posting_has_its_transfer",
        POST.format(ticker="''", kind="'deposit'", change=1, total=1, price="NULL"),
        {"customerId": "alice"},
    ),
]


@pytest.mark.django_db
class TestRules:
    @pytest.fixture(scope="class")
    @classmethod
    def ids(cls, django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[dict[str, Any]]:
        with shared_books(create_books, django_db_blocker) as ids:
            yield ids

    @pytest.mark.parametrize(("rule", "plant", "names"), BROKEN)
    def test_each_broken_rule_is_found(self, rule: str, plant: str, names: dict[str, str], ids: dict[str, Any]) -> None:
        assert_found(BOOKS, rule, plant, names, ids)


def test_every_rule_has_been_broken_by_a_test() -> None:
    assert {rule for rule, _, _ in BROKEN} == {rule.name for rule in BOOKS}


def test_all_violations_are_counted_and_a_limited_number_listed(
    ids: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit, "LISTED_MAX", 2)
    lift_guarantees()
    Balance.objects.update(amount=7)
    findings = examine(BOOKS)
    assert findings.counts["balance_is_the_sum_of_its_postings"] == Customer.objects.count() == 3
    assert (
        len(
            [
                violation
                for violation in findings.violations
                if violation["rule"] == "balance_is_the_sum_of_its_postings"
            ]
        )
        == 2
    )
