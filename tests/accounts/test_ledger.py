"""The books: rounding, holds, and totals that always add up."""

from collections import defaultdict
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.db import transaction
from django.db.models import Sum
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from accounts.account import LARGEST_POSITION, Account, InsufficientFunds, InsufficientShares, PositionTooLarge, Shares
from accounts.ledger import open_books
from accounts.lots import part_of_cost
from accounts.models import CASH, Balance, Customer, Position, Posting
from accounts.money import LARGEST_AMOUNT, money
from tests.people import open_account

CAUSE = UUID("0193a9a0-0000-7000-8000-000000000000")


def account_with(amount: str = "100", **shares: int) -> Account:
    return Account(1, Decimal(amount), Decimal(0), {name: Shares(quantity) for name, quantity in shares.items()})


@pytest.mark.parametrize(
    ("value", "rounded"),
    [
        ("1.00005", "1.0000"),
        ("1.00015", "1.0002"),
        ("1.00025", "1.0002"),
        ("-1.00015", "-1.0002"),
        ("1.000051", "1.0001"),
        ("2", "2.0000"),
    ],
)
def test_amounts_are_rounded_half_to_even(value: str, rounded: str) -> None:
    assert str(money(Decimal(value))) == rounded


# -- in memory


def test_held_cash_is_not_available() -> None:
    account = account_with()
    account.hold_cash(Decimal(60))
    assert (account.amount, account.held, account.available) == (100, 60, 40)
    account.release_cash(Decimal(60))
    assert account.available == 100


@pytest.mark.parametrize("amount", ["100.0001", "0", "-1"])
def test_only_what_is_available_can_be_held(amount: str) -> None:
    account = account_with()
    with pytest.raises(InsufficientFunds):
        account.hold_cash(Decimal(amount))
    assert (account.held, account.cash_changed) == (0, False)


@pytest.mark.parametrize("quantity", [11, 0, -1])
def test_only_shares_that_are_free_can_be_held(quantity: int) -> None:
    account = account_with(AAPL=10)
    with pytest.raises(InsufficientShares):
        account.hold_shares("AAPL", quantity)
    assert (account.shares["AAPL"].held, account.tickers_changed) == (0, set())


def test_held_shares_cannot_be_held_again() -> None:
    account = account_with(AAPL=10)
    account.hold_shares("AAPL", 7)
    with pytest.raises(InsufficientShares):
        account.hold_shares("AAPL", 4)
    account.release_shares("AAPL", 7)
    account.hold_shares("AAPL", 10)


def test_no_more_than_the_available_cash_can_be_withdrawn() -> None:
    account = account_with()
    account.hold_cash(Decimal(60))
    with pytest.raises(InsufficientFunds):
        account.move_cash("withdrawal", CAUSE, Decimal("-40.0001"))
    assert (account.amount, account.postings) == (100, [])
    account.move_cash("withdrawal", CAUSE, Decimal(-40))
    assert account.available == 0


def test_a_buy_that_costs_too_much_changes_nothing() -> None:
    account = account_with()
    with pytest.raises(InsufficientFunds):
        account.buy(CAUSE, "AAPL", 1, Decimal(101), Decimal(101))
    assert (account.amount, account.shares, account.postings) == (100, {}, [])


def test_a_sell_of_shares_held_for_another_trade_changes_nothing() -> None:
    account = account_with(AAPL=10)
    account.hold_shares("AAPL", 8)
    with pytest.raises(InsufficientShares):
        account.sell(CAUSE, "AAPL", 3, Decimal(1), Decimal(3))
    assert (account.amount, account.shares["AAPL"].quantity, account.postings) == (100, 10, [])


def test_the_average_price_is_weighted_and_a_sell_keeps_it() -> None:
    account = account_with("1000")
    account.buy(uuid4(), "AAPL", 1, Decimal(10), Decimal(10))
    account.buy(uuid4(), "AAPL", 2, Decimal(20), Decimal(40))
    assert account.shares["AAPL"].cost == 50
    account.sell(uuid4(), "AAPL", 2, Decimal(99), Decimal(198))
    assert account.shares["AAPL"].cost == Decimal("16.6667")
    account.sell(uuid4(), "AAPL", 1, Decimal(99), Decimal(99))
    account.buy(uuid4(), "AAPL", 1, Decimal(7), Decimal(7))
    assert account.shares["AAPL"].cost == 7


def test_many_small_purchases_move_the_average_price() -> None:
    account = account_with("10000000")
    account.buy(uuid4(), "AAPL", 100_000, Decimal(10), Decimal(1_000_000))
    for _ in range(100_000):
        account.buy(CAUSE, "AAPL", 1, Decimal("14.99"), Decimal("14.99"))
    shares = account.shares["AAPL"]
    assert Position(quantity=shares.quantity, cost=shares.cost).average_price == Decimal("12.4950")


def test_a_purchase_above_the_largest_position_changes_nothing() -> None:
    account = account_with("10")
    with pytest.raises(PositionTooLarge):
        account.buy(CAUSE, "AAPL", LARGEST_POSITION + 1, Decimal("0.0001"), Decimal(1))
    assert (account.amount, account.shares, account.postings) == (10, {}, [])


@pytest.mark.parametrize(
    ("cost", "quantity", "total", "part"),
    [("50", 1, 3, "16.6667"), ("0.0001", 1, 2, "0"), ("0.0003", 1, 2, "0.0002"), ("0.0005", 1, 2, "0.0002")],
)
def test_a_part_of_the_cost_is_rounded_half_to_even(cost: str, quantity: int, total: int, part: str) -> None:
    assert part_of_cost(Decimal(cost), quantity, total) == Decimal(part)


def test_a_part_of_the_largest_cost_is_exact() -> None:
    assert part_of_cost(LARGEST_AMOUNT, LARGEST_POSITION - 1, LARGEST_POSITION) == Decimal("999999999998999.9999")


def test_each_trade_posts_cash_and_shares_with_their_new_totals() -> None:
    account = account_with("100", AAPL=1)
    account.sell(CAUSE, "AAPL", 1, Decimal(5), Decimal(5))
    assert [(posting.ticker, posting.change, posting.total, posting.price) for posting in account.postings] == [
        ("AAPL", -1, 0, 5),
        (CASH, 5, 105, 5),
    ]


# -- in the database


def test_written_books_are_stored_and_a_second_write_does_nothing(
    bob: Customer, django_assert_num_queries: Any
) -> None:
    with transaction.atomic(durable=True):
        books = open_books([bob.id])
        books[bob.id].buy(CAUSE, "AAPL", 2, Decimal("10"), Decimal("20"))
        books.write()
        with django_assert_num_queries(0):
            books.write()
    assert Balance.objects.get(customer=bob).amount == 480
    assert Position.objects.get(customer=bob).quantity == 2
    assert Posting.objects.filter(cause=CAUSE).count() == 2


def test_books_never_read_hold_nothing_and_write_nothing(bob: Customer, django_assert_num_queries: Any) -> None:
    with transaction.atomic(durable=True):
        books = open_books([bob.id])
        with django_assert_num_queries(0):
            books.write()


def test_unknown_customers_are_left_out(alice: Customer, bob: Customer) -> None:
    with transaction.atomic(durable=True):
        books = open_books([10**9, bob.id, alice.id])
        assert books.customer_ids == sorted([alice.id, bob.id])


def test_several_customers_are_locked_and_written_with_a_fixed_number_of_statements(
    alice: Customer, bob: Customer, django_assert_num_queries: Any
) -> None:
    # Lock, read the shares and unsettled sales, and write everything.
    with transaction.atomic(durable=True), django_assert_num_queries(4):
        books = open_books([alice.id, bob.id])
        books.load_shares((account.customer_id, "AAPL") for account in books)
        for account in books:
            account.buy(uuid4(), "AAPL", 1, Decimal(1), Decimal(1))
        books.write()


def test_shares_are_read_before_they_are_moved(alice: Customer) -> None:
    with transaction.atomic(durable=True):
        books = open_books([alice.id])
        books.load_shares([(alice.id, "AAPL"), (alice.id, "NONE")])
        assert (books[alice.id].shares["AAPL"].quantity, books[alice.id].shares_of("NONE").quantity) == (10, 0)


AMOUNTS = st.decimals("0.0001", "400", places=4)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("deposit"), AMOUNTS),
        st.tuples(st.just("withdraw"), AMOUNTS),
        st.tuples(st.just("hold"), AMOUNTS),
        st.tuples(st.just("release")),
        st.tuples(st.just("buy"), st.sampled_from("AB"), st.integers(1, 9), AMOUNTS),
        st.tuples(st.just("sell"), st.sampled_from("AB"), st.integers(1, 9), AMOUNTS),
        st.tuples(st.just("hold_shares"), st.sampled_from("AB"), st.integers(1, 9)),
        st.tuples(st.just("release_shares"), st.sampled_from("AB")),
        st.tuples(st.just("write")),
    ),
    max_size=25,
)


def take(account: Account, step: Any, holds: dict[str, list[Any]]) -> None:
    """Take one step, which may be refused; `holds` records what can be released."""
    match step:
        case ("deposit", amount):
            account.move_cash("deposit", uuid4(), amount)
        case ("withdraw", amount):
            account.move_cash("withdrawal", uuid4(), -amount)
        case ("hold", amount):
            account.hold_cash(amount)
            holds[CASH].append(amount)
        case ("release",) if holds[CASH]:
            account.release_cash(holds[CASH].pop())
        case ("buy", ticker, quantity, price):
            account.buy(uuid4(), ticker, quantity, price, price * quantity)
        case ("sell", ticker, quantity, price):
            account.sell(uuid4(), ticker, quantity, price, price * quantity)
        case ("hold_shares", ticker, quantity):
            account.hold_shares(ticker, quantity)
            holds[ticker].append(quantity)
        case ("release_shares", ticker) if holds[ticker]:
            account.release_shares(ticker, holds[ticker].pop())


@given(STEPS)
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
def test_holds_stay_within_bounds_and_totals_equal_their_postings(db: None, steps: list[Any]) -> None:
    customer = open_account(f"{uuid4()}@example.com", Decimal(500))
    holds: dict[str, list[Any]] = defaultdict(list)
    with transaction.atomic(durable=True):
        books = open_books([customer.id])
        for step in steps:
            try:
                take(books[customer.id], step, holds)
            except (InsufficientFunds, InsufficientShares):
                pass
            if step == ("write",):
                books.write()
            account = books[customer.id]
            assert 0 <= account.held <= account.amount
            assert all(0 <= shares.held <= shares.quantity for shares in account.shares.values())
        books.write()
    sums = dict(Posting.objects.filter(customer=customer).values_list("ticker").annotate(Sum("change")))
    balance = Balance.objects.get(customer=customer)
    assert (balance.amount, balance.held) == (sums.pop(CASH), sum(holds[CASH]))
    positions = Position.objects.filter(customer=customer)
    assert {row.ticker: row.quantity for row in positions if row.quantity} == {
        ticker: total for ticker, total in sums.items() if total
    }
    assert all(row.held == sum(holds[row.ticker]) for row in positions)
