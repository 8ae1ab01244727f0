"""Simultaneous requests for the same cash spend it once."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

from django.test import Client

from accounts.funding import InsufficientFunds, TransferKeyReused, deposit, withdraw
from accounts.models import Balance, Customer, Posting, Transfer
from tests.people import claim, send_report
from tests.races.concurrency import outcomes, together, violations, watching
from trades.models import Status
from trades.place import place_trade

CALLS = 10


def cash_of(customer: Customer) -> Decimal:
    return Balance.objects.get(customer=customer).amount


def test_simultaneous_withdrawals_take_no_more_than_available(bob: Customer) -> None:
    results = outcomes(*[lambda: withdraw(bob.id, Decimal(120))] * CALLS)
    assert sum(isinstance(outcome.error, InsufficientFunds) for outcome in results) == CALLS - 4
    assert cash_of(bob) == 500 - 4 * 120
    assert Transfer.objects.filter(type="withdrawal").count() == 4


def test_simultaneous_withdrawals_over_http(bob: Customer, api_of: Callable[[Customer], Client]) -> None:
    def withdraw_by_api(client: Client) -> Any:
        return client.post("/api/v1/withdrawals", {"amount": "120.00"}, "application/json")

    responses = together(*[lambda client=api_of(bob): withdraw_by_api(client) for _ in range(CALLS)])
    assert sorted(response.status_code for response in responses) == [201] * 4 + [409] * (CALLS - 4)
    assert {response.json()["code"] for response in responses if response.status_code == 409} == {"insufficient_funds"}
    assert cash_of(bob) == 20


def test_withdrawals_during_a_claim_take_nothing_of_its_hold(bob: Customer) -> None:
    trade, _ = place_trade(bob.id, "AAPL", "BUY", 1)
    with watching(violations) as watch:
        results = outcomes(lambda: claim(bob), *[lambda: withdraw(bob.id, Decimal(60))] * CALLS)
    withdrawn = sum(outcome.error is None for outcome in results[1:])
    assert {type(outcome.error) for outcome in results[1:] if outcome.error} <= {InsufficientFunds}
    assert watch.violations == set()
    trade.refresh_from_db()
    assert trade.max_price == 500 - 60 * withdrawn
    assert results[0].value == [trade]
    # Only the hold is left: the trade may spend all of it, and nothing can be withdrawn.
    send_report(trade, Status.FILLED, trade.max_price)
    together(lambda: claim(bob), *[lambda: outcomes(lambda: withdraw(bob.id, Decimal(1)))] * CALLS)
    assert cash_of(bob) == 0


def test_withdrawals_while_a_buy_is_settled_take_no_more_than_the_released_cash(bob: Customer) -> None:
    trade, _ = place_trade(bob.id, "AAPL", "BUY", 1)
    claim(bob)
    send_report(trade, Status.FILLED, Decimal(200))
    with watching(violations) as watch:
        results = outcomes(lambda: claim(bob), *[lambda: withdraw(bob.id, Decimal(100))] * CALLS)
    withdrawn = sum(outcome.error is None for outcome in results[1:])
    assert watch.violations == set()
    assert withdrawn <= 3
    assert cash_of(bob) == 500 - 200 - 100 * withdrawn


def test_simultaneous_deposits_with_one_key_are_one_deposit(bob: Customer) -> None:
    results = together(*[lambda: deposit(bob.id, Decimal(7), "k")] * CALLS)
    assert sorted(replayed for _, replayed in results) == [False] + [True] * (CALLS - 1)
    assert len({posting.id for posting, _ in results}) == 1
    assert Posting.objects.filter(customer=bob, change=7).count() == 1
    assert cash_of(bob) == 507


def test_of_different_simultaneous_transfers_with_one_key_one_is_made(bob: Customer) -> None:
    results = outcomes(
        *[lambda: deposit(bob.id, Decimal(7), "k")] * 4,
        *[lambda: deposit(bob.id, Decimal(8), "k")] * 4,
        *[lambda: withdraw(bob.id, Decimal(7), "k")] * 4,
    )
    assert {type(outcome.error) for outcome in results if outcome.error} == {TransferKeyReused}
    succeeded = [outcome.value for outcome in results if outcome.error is None]
    assert len(succeeded) == 4
    assert [replayed for _, replayed in succeeded].count(False) == 1
    assert Transfer.objects.filter(idempotency_key="k").count() == 1


def test_simultaneous_deposits_without_a_key_are_all_made(bob: Customer) -> None:
    together(*[lambda: deposit(bob.id, Decimal("0.0001"))] * CALLS)
    assert cash_of(bob) == Decimal("500.0010")
