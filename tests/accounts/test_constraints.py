"""Every database guarantee about customers and books withstands an attempt to break it."""

from collections.abc import Callable, Iterator
from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from django.db import DatabaseError, transaction
from django.db.models import F, ProtectedError
from pytest_django.plugin import DjangoDbBlocker

from accounts import tokens
from accounts.adjustments import ask_for_adjustment, decide_on_adjustment
from accounts.customers import create_customer
from accounts.funding import deposit, withdraw
from accounts.models import Balance, Customer, LotClosing, Position, Posting, Transfer
from tests import people
from tests.factories import ClosingPriceFactory, FreezeFactory, GoodFaithViolationFactory, SignInFactory
from tests.guarantees import guarantee_named_by, guarantees_in_meta, guarantees_of, refusal
from tests.lasting import lasting

pytestmark = pytest.mark.django_db

INSERT_POSTING = """
    INSERT INTO accounts_posting (customer_id, ticker, kind, cause, change, total)
    VALUES (%(alice)s, '', 'deposit', gen_random_uuid(), {change}, {total})
"""
INSERT_TRANSFER = """
    INSERT INTO accounts_transfer (id, customer_id, type, amount, idempotency_key)
    VALUES (gen_random_uuid(), {customer}, 'deposit', {amount}, {key})
"""
INSERT_POSITION = """
    INSERT INTO accounts_position (customer_id, ticker, quantity, held, cost)
    VALUES ({customer}, {ticker}, {quantity}, {held}, 0)
"""
INSERT_ADJUSTMENT = """
    INSERT INTO accounts_adjustment
        (id, customer_id, change, reason_code, reason, asked_by_id, approved, decided_by_id, decided_at)
    VALUES (gen_random_uuid(), {customer}, {change}, 'fee', '', {asked_by}, {decision})
"""


def adjustment(customer: str = "%(alice)s", change: int = 5, asked_by: str = "%(bob)s", decision: str = "") -> str:
    decided = decision or "NULL, NULL, NULL"
    return INSERT_ADJUSTMENT.format(customer=customer, change=change, asked_by=asked_by, decision=decided)


def adjustment_of_shares(change: str, price: str, ticker: str = "AAPL") -> str:
    return f"""
        INSERT INTO accounts_adjustment (id, customer_id, ticker, change, price, reason_code, reason, asked_by_id)
        VALUES (gen_random_uuid(), %(alice)s, '{ticker}', {change}, {price}, 'fee', '', %(bob)s)
    """


PRICES = """
    INSERT INTO accounts_closingprice (day, ticker, price) VALUES ('2026-10-31', 'IBM', {}), ('2026-10-31', 'IBM', {})
"""
WATCHLISTS = """
    INSERT INTO accounts_watchlist (id, customer_id, name, tickers, is_default)
    SELECT gen_random_uuid(), {0}, name, '{{}}', {3} FROM unnest(ARRAY['{1}', '{2}']) AS name
"""
NOTICES = (
    "INSERT INTO accounts_notice (customer_id, kind, cause, title, text) "
    "VALUES ({}, 'trades', 'one', '', ''), ({}, 'trades', 'one', '', '')"
)
MUTES = "INSERT INTO accounts_mutednotice (customer_id, kind) VALUES ({}, 'trades'), ({}, 'trades')"
LOT = """
    INSERT INTO accounts_lot (id, customer_id, ticker, cause, acquired_on, quantity, cost, remaining, remaining_cost)
    VALUES (gen_random_uuid(), {customer}, 'KO', gen_random_uuid(), now(), 1, 1, 1, 1)
"""
CLOSING = """
    INSERT INTO accounts_lotclosing (lot_id, customer_id, ticker, cause, acquired_on, closed_on, quantity, cost,
                                     proceeds, gain, is_long_term)
    VALUES ({lot}, {customer}, 'KO', {cause}, now(), now(), 1, 1, 2, {gain}, false)
"""
VIOLATION = """
    INSERT INTO accounts_goodfaithviolation (customer_id, ticker, cause, lot_id, bought_on, sold_on, settles_on, number,
                                             restricts_until, lifted_at, lifted_by_id, lift_reason)
    VALUES ({customer}, 'KO', {cause}, {lot}, '2026-11-23', {sold_on}, '2026-11-24', 1, {until}, {lifted})
"""


def violation(**changes: str) -> str:
    defaults = {"customer": "%(alice)s", "cause": "gen_random_uuid()", "lot": "%(lot)s", "sold_on": "'2026-11-23'"}
    return VIOLATION.format_map(defaults | {"until": "NULL", "lifted": "NULL, NULL, ''"} | changes)


ATTEMPTS = [
    ("adjustment_moves_something", adjustment(change=0)),
    ("adjustment_of_shares_is_of_whole_ones", adjustment_of_shares("1.5", "10")),
    ("adjustment_of_shares_is_of_whole_ones", adjustment_of_shares("-0.5", "NULL")),
    ("adjustment_has_a_price_for_added_shares", adjustment_of_shares("1", "NULL")),
    ("adjustment_has_a_price_for_added_shares", adjustment_of_shares("-1", "10")),
    ("adjustment_has_a_price_for_added_shares", adjustment_of_shares("1", "-0.0001")),
    ("adjustment_has_a_price_for_added_shares", adjustment_of_shares("1", "'NaN'")),
    ("adjustment_has_a_price_for_added_shares", adjustment_of_shares("1", "10", ticker="")),
    ("adjustment_terms_stay", "UPDATE accounts_adjustment SET ticker = 'AAPL', price = 1 WHERE id = %(pending)s"),
    ("adjustment_terms_stay", "UPDATE accounts_adjustment SET price = price + 1 WHERE id = %(shares)s"),
    ("nobody_decides_on_their_own", adjustment(decision="true, %(bob)s, now()")),
    ("adjustment_is_decided_by_somebody", adjustment(decision="true, NULL, now()")),
    ("adjustment_is_decided_by_somebody", adjustment(decision="NULL, %(alice)s, now()")),
    ("adjustment_is_decided_by_somebody", adjustment(decision="false, %(alice)s, NULL")),
    ("accounts_adjustment_customer_id_fk", adjustment(customer="0")),
    ("accounts_adjustment_asked_by_id_fk", adjustment(asked_by="0")),
    ("accounts_adjustment_decided_by_id_fk", adjustment(decision="true, 0, now()")),
    ("adjustments_stay", "DELETE FROM accounts_adjustment"),
    ("decided_adjustments_stay", "UPDATE accounts_adjustment SET approved = false WHERE id = %(declined)s"),
    ("adjustment_terms_stay", "UPDATE accounts_adjustment SET change = 6 WHERE id = %(pending)s"),
    ("adjustment_terms_stay", "UPDATE accounts_adjustment SET asked_by_id = %(alice)s WHERE id = %(pending)s"),
    ("sign_ins_stay", "UPDATE accounts_signin SET address = 'elsewhere'"),
    ("sign_ins_are_kept", "DELETE FROM accounts_signin"),
    (
        "accounts_signin_customer_id_fk",
        "INSERT INTO accounts_signin (customer_id, kind, address, device, second_factor, session) "
        "VALUES (0, 'in', '', '', false, '')",
    ),
    ("freezes_stay", "UPDATE accounts_freeze SET is_on = false"),
    ("freezes_stay", "DELETE FROM accounts_freeze"),
    (
        "accounts_freeze_customer_id_fk",
        "INSERT INTO accounts_freeze (customer_id, is_on, reason, by_id) VALUES (0, true, '', %(bob)s)",
    ),
    (
        "accounts_freeze_by_id_fk",
        "INSERT INTO accounts_freeze (customer_id, is_on, reason, by_id) VALUES (%(alice)s, true, '', 0)",
    ),
    ("accounts_limits_customer_id_fk", "INSERT INTO accounts_limits (customer_id) VALUES (0)"),
    (
        "accounts_limits_reads_a_minute_check",
        "INSERT INTO accounts_limits (customer_id, reads_a_minute) VALUES (%(alice)s, -1)",
    ),
    (
        "accounts_limits_orders_a_minute_check",
        "INSERT INTO accounts_limits (customer_id, orders_a_minute) VALUES (%(alice)s, -1)",
    ),
    ("customer_email_is_lower_case", "UPDATE accounts_customer SET email = 'Alice@example.com' WHERE id = %(alice)s"),
    ("accounts_customer_email_key", "UPDATE accounts_customer SET email = 'alice@example.com' WHERE id = %(bob)s"),
    ("balance_holds_no_more_than_there_is", "UPDATE accounts_balance SET held = amount + 0.0001"),
    ("balance_holds_no_more_than_there_is", "UPDATE accounts_balance SET held = -0.0001"),
    ("balance_holds_no_more_than_there_is", "UPDATE accounts_balance SET amount = -0.0001"),
    ("balance_holds_no_more_than_there_is", "UPDATE accounts_balance SET amount = -1, held = -1"),
    ("balance_holds_no_more_than_there_is", "UPDATE accounts_balance SET amount = 'NaN'"),
    ("balances_stay", "DELETE FROM accounts_balance WHERE customer_id = %(alice)s"),
    ("accounts_balance_customer_id_fk", "INSERT INTO accounts_balance (customer_id, amount, held) VALUES (0, 0, 0)"),
    ("one_position_a_stock", INSERT_POSITION.format(customer="%(alice)s", ticker="'AAPL'", quantity=1, held=0)),
    ("position_holds_no_more_than_there_is", "UPDATE accounts_position SET held = quantity + 1"),
    ("position_holds_no_more_than_there_is", "UPDATE accounts_position SET held = -1"),
    ("position_holds_no_more_than_there_is", "UPDATE accounts_position SET quantity = -1"),
    (
        "position_holds_no_more_than_there_is",
        INSERT_POSITION.format(customer="%(bob)s", ticker="'AAPL'", quantity=-1, held=-1),
    ),
    ("position_has_a_cost", "UPDATE accounts_position SET cost = -1"),
    ("position_has_a_cost", "UPDATE accounts_position SET cost = 'NaN'"),
    ("positions_stay", "DELETE FROM accounts_position WHERE customer_id = %(alice)s"),
    ("position_names_a_stock", INSERT_POSITION.format(customer="%(bob)s", ticker="''", quantity=1, held=0)),
    ("accounts_position_customer_id_fk", INSERT_POSITION.format(customer=0, ticker="'AAPL'", quantity=1, held=0)),
    ("one_transfer_a_key", INSERT_TRANSFER.format(customer="%(alice)s", amount=5, key="'once'")),
    ("transfer_moves_something", INSERT_TRANSFER.format(customer="%(alice)s", amount=0, key="NULL")),
    ("transfer_moves_something", INSERT_TRANSFER.format(customer="%(alice)s", amount=-5, key="NULL")),
    (
        "transfer_moves_something",
        INSERT_TRANSFER.format(customer="%(alice)s", amount=5, key="NULL").replace("'deposit'", "'gift'"),
    ),
    ("accounts_transfer_customer_id_fk", INSERT_TRANSFER.format(customer=0, amount=5, key="NULL")),
    ("transfers_stay", "UPDATE accounts_transfer SET amount = amount + 1"),
    ("transfers_stay", "UPDATE accounts_transfer SET idempotency_key = NULL WHERE idempotency_key = 'once'"),
    ("transfers_stay", "DELETE FROM accounts_transfer WHERE customer_id = %(alice)s"),
    (
        "one_posting_a_cause",
        "INSERT INTO accounts_posting (customer_id, ticker, kind, cause, change, total) "
        "SELECT customer_id, ticker, kind, cause, change, total FROM accounts_posting WHERE id = %(posting)s",
    ),
    ("posting_leaves_no_less_than_zero", INSERT_POSTING.format(change=-1, total=-1)),
    ("posting_moves_something", INSERT_POSTING.format(change=0, total=1000)),
    ("posting_moves_something", INSERT_POSTING.replace("'deposit'", "'gift'").format(change=1, total=1)),
    ("posting_leaves_no_less_than_zero", INSERT_POSTING.format(change=1, total="'NaN'")),
    ("postings_stay", "UPDATE accounts_posting SET change = change + 1 WHERE id = %(posting)s"),
    ("postings_stay", "UPDATE accounts_posting SET customer_id = %(bob)s WHERE id = %(posting)s"),
    ("postings_stay", "UPDATE accounts_posting SET created_at = now() WHERE id = %(posting)s"),
    ("postings_are_kept", "DELETE FROM accounts_posting WHERE id = %(posting)s"),
    ("settlement_dates_stay", "UPDATE accounts_posting SET settles_on = settles_on + 1 WHERE id = %(posting)s"),
    ("settlement_dates_stay", "UPDATE accounts_posting SET settles_on = NULL WHERE id = %(posting)s"),
    ("accounts_posting_customer_id_fk", INSERT_POSTING.replace("%(alice)s", "0").format(change=1, total=1)),
    ("accounts_token_token_hash_key", "UPDATE accounts_token SET token_hash = 'the same'"),
    ("accounts_token_key_id_key", "UPDATE accounts_token SET key_id = 'the same'"),
    ("one_token_a_key", "UPDATE accounts_token SET customer_id = %(alice)s, idempotency_key = 'the same'"),
    (
        "accounts_token_customer_id_fk",
        "INSERT INTO accounts_token (id, customer_id, name, token_hash, key_id, secret_hash, scopes) "
        "VALUES (gen_random_uuid(), 0, '', 'a', 'b', 'c', '[]')",
    ),
    ("lots_are_kept", "DELETE FROM accounts_lot WHERE id = %(lot)s"),
    ("lots_stay", "UPDATE accounts_lot SET quantity = quantity + 1 WHERE id = %(lot)s"),
    ("lots_stay", "UPDATE accounts_lot SET acquired_on = acquired_on - 1 WHERE id = %(lot)s"),
    ("lots_stay", "UPDATE accounts_lot SET cost = cost + 1 WHERE id = %(lot)s"),
    ("lot_has_no_more_than_was_bought", "UPDATE accounts_lot SET remaining = remaining + 1000 WHERE id = %(lot)s"),
    ("lot_has_no_more_than_was_bought", "UPDATE accounts_lot SET remaining = -1 WHERE id = %(lot)s"),
    ("lot_has_no_more_than_was_bought", "UPDATE accounts_lot SET remaining_cost = cost + 1 WHERE id = %(lot)s"),
    ("accounts_lot_customer_id_fk", LOT.format(customer="0")),
    ("one_closing_a_cause", CLOSING.format(lot="%(lot)s", customer="%(alice)s", cause="%(sold)s", gain="1")),
    ("closing_adds_up", CLOSING.format(lot="%(lot)s", customer="%(alice)s", cause="gen_random_uuid()", gain="2")),
    ("closing_adds_up", CLOSING.format(lot="%(lot)s", customer="%(alice)s", cause="gen_random_uuid()", gain="NULL")),
    (
        "accounts_lotclosing_lot_id_fk",
        CLOSING.format(lot="gen_random_uuid()", customer="%(alice)s", cause="gen_random_uuid()", gain="1"),
    ),
    (
        "accounts_lotclosing_customer_id_fk",
        CLOSING.format(lot="%(lot)s", customer="0", cause="gen_random_uuid()", gain="1"),
    ),
    ("closings_stay", "UPDATE accounts_lotclosing SET quantity = quantity + 1"),
    ("closings_stay", "DELETE FROM accounts_lotclosing"),
    ("accounts_goodfaithviolation_cause_key", violation(cause="%(sold)s")),
    ("accounts_goodfaithvi_customer_id_fk", violation(customer="0")),
    ("accounts_goodfaithviolation_lot_id_fk", violation(lot="gen_random_uuid()")),
    ("accounts_goodfaithvi_lifted_by_id_fk", violation(until="now()", lifted="now(), 0, 'Ours.'")),
    ("violation_was_too_early", violation(sold_on="'2026-11-24'")),
    ("restriction_is_lifted_once", violation(lifted="now(), %(bob)s, 'Nothing to lift.'")),
    ("restriction_is_lifted_once", violation(until="now()", lifted="now(), %(bob)s, ''")),
    ("restriction_is_lifted_once", violation(until="now()", lifted="now(), NULL, 'By nobody.'")),
    ("violations_are_kept", "DELETE FROM accounts_goodfaithviolation"),
    ("violations_stay", "UPDATE accounts_goodfaithviolation SET number = number + 1 WHERE lifted_at IS NULL"),
    ("lifted_restrictions_stay", "UPDATE accounts_goodfaithviolation SET lift_reason = 'Another.'"),
    ("lots_stay", "UPDATE accounts_lot SET paid_with_until = now() WHERE id = %(lot)s"),
    ("one_closing_price", PRICES.format("1", "2")),
    ("closing_price_is_positive", PRICES.format("0", "NULL")),
    ("closing_prices_stay", "UPDATE accounts_closingprice SET price = 1"),
    ("closing_prices_stay", "DELETE FROM accounts_closingprice"),
    ("one_watchlist_of_a_name", WATCHLISTS.format("%(alice)s", "a", "a", "false")),
    ("one_default_watchlist", WATCHLISTS.format("%(alice)s", "a", "b", "true")),
    ("accounts_watchlist_customer_id_fk", WATCHLISTS.format("0", "a", "b", "false")),
    ("one_notice_a_cause", NOTICES.format("%(alice)s", "%(alice)s")),
    ("accounts_notice_customer_id_fk", NOTICES.format("%(alice)s", "0")),
    ("one_mute_a_kind", MUTES.format("%(alice)s", "%(alice)s")),
    ("accounts_mutednotice_customer_id_fk", MUTES.format("%(alice)s", "0")),
]


def create_rows(alice: Customer, bob: Customer) -> dict[str, Any]:
    """Create rows of every kind for Alice and Bob; return the ids by name."""
    posting, _ = deposit(alice.id, Decimal(5), key="once")
    withdraw(alice.id, Decimal(5))
    tokens.issue(alice, "one")
    tokens.issue(alice, "two")
    pending = ask_for_adjustment(alice.id, Decimal(5), "fee", "Once.", bob)
    declined = ask_for_adjustment(bob.id, Decimal(5), "fee", "Never.", bob)
    decide_on_adjustment(declined.id, False, alice)
    shares = ask_for_adjustment(alice.id, Decimal(5), "fee", "A split.", bob, ticker="AAPL", price=Decimal(1))
    sold = ask_for_adjustment(alice.id, Decimal(-1), "fee", "Too many.", bob, ticker="AAPL")
    decide_on_adjustment(sold.id, True, create_customer("carol@example.com", None))
    FreezeFactory.create(customer=alice, by=bob)
    lot = LotClosing.objects.get(cause=sold.id).lot_id
    ClosingPriceFactory.create(day=date(2026, 9, 30), price=1)
    GoodFaithViolationFactory.create(customer=alice, lot_id=lot, cause=sold.id, lifted_by=bob)
    GoodFaithViolationFactory.create(customer=alice, lot_id=lot, cause=pending.id, lifted_at=None, lift_reason="")
    SignInFactory.create(customer=alice)
    return {
        "alice": alice.id,
        "bob": bob.id,
        "posting": posting.id,
        "pending": pending.id,
        "declined": declined.id,
        "shares": shares.id,
        "lot": lot,
        "sold": sold.id,
    }


@pytest.fixture(scope="module")
def ids(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[dict[str, Any]]:
    with lasting(django_db_blocker):
        yield create_rows(people.alice(), people.bob())


@pytest.mark.parametrize(("guarantee", "statement"), ATTEMPTS)
def test_the_database_refuses(guarantee: str, statement: str, ids: dict[str, Any]) -> None:
    assert refusal(statement, ids) == guarantee


def test_every_guarantee_has_a_test(db: None) -> None:
    tested = {guarantee for guarantee, _ in ATTEMPTS}
    assert tested == guarantees_of("accounts")
    assert tested >= guarantees_in_meta("accounts")


def test_a_customer_with_money_cannot_be_deleted(ids: dict[str, Any]) -> None:
    assert refusal("DELETE FROM accounts_customer WHERE id = %(alice)s", ids).endswith(("customer_id_fk", "user_id_fk"))
    with pytest.raises(ProtectedError):
        Customer.objects.get(pk=ids["alice"]).delete()
    with pytest.raises(ProtectedError):
        Customer.objects.filter(pk=ids["bob"]).delete()


@pytest.mark.parametrize(
    ("guarantee", "attempt"),
    [
        ("postings_stay", lambda: Posting.objects.update(change=1)),
        ("postings_are_kept", lambda: Posting.objects.all().delete()),
        ("postings_are_kept", lambda: Posting.objects.earliest("id").delete()),
        ("settlement_dates_stay", lambda: Posting.objects.update(settles_on=None)),
        ("transfers_stay", lambda: Transfer.objects.update(amount=1)),
        ("transfers_stay", lambda: Transfer.objects.all().delete()),
        ("balance_holds_no_more_than_there_is", lambda: Balance.objects.update(amount=F("amount") - 100_000)),
        ("balance_holds_no_more_than_there_is", lambda: Balance.objects.update(held=F("amount") + 1)),
        ("position_holds_no_more_than_there_is", lambda: Position.objects.update(quantity=F("quantity") - 11)),
        ("customer_email_is_lower_case", lambda: Customer.objects.update(email="Capital@example.com")),
    ],
)
def test_the_orm_cannot_bypass_the_guarantees(guarantee: str, attempt: Callable[[], Any], ids: dict[str, Any]) -> None:
    with pytest.raises(DatabaseError) as caught, transaction.atomic():
        attempt()
    assert guarantee_named_by(caught.value) == guarantee
