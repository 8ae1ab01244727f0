"""Deposits and withdrawals."""

from decimal import Decimal

import pytest

from accounts.funding import BalanceTooLarge, InsufficientFunds, TransferKeyReused, deposit, withdraw
from accounts.models import Balance, Customer, Posting, Transfer
from accounts.money import LARGEST_AMOUNT
from tests.people import claim
from trades.place import place_trade


def cash_of(customer: Customer) -> Decimal:
    return Balance.objects.get(customer=customer).amount


def test_a_deposit_is_a_transfer_and_its_posting(bob: Customer) -> None:
    posting, replayed = deposit(bob.id, Decimal("12.3400"), key="k")
    transfer = Transfer.objects.get(id=posting.cause)
    assert (transfer.type, transfer.amount, transfer.idempotency_key) == ("deposit", Decimal("12.34"), "k")
    assert (posting.kind, posting.change, posting.total) == ("deposit", Decimal("12.34"), Decimal("512.34"))
    assert (replayed, cash_of(bob)) == (False, Decimal("512.34"))


def test_a_withdrawal_reduces_the_balance(bob: Customer) -> None:
    posting, _ = withdraw(bob.id, Decimal(500))
    assert (posting.kind, posting.change, posting.total) == ("withdrawal", -500, 0)


def test_the_same_key_returns_the_first_posting(bob: Customer) -> None:
    first, _ = deposit(bob.id, Decimal(5), key="k")
    assert deposit(bob.id, Decimal(5), key="k") == (first, True)
    assert cash_of(bob) == 505


def test_a_withdrawal_that_emptied_the_account_can_be_retried(bob: Customer) -> None:
    first, _ = withdraw(bob.id, Decimal(500), key="k")
    assert withdraw(bob.id, Decimal(500), key="k") == (first, True)


def test_a_key_is_used_for_one_transfer_only(bob: Customer) -> None:
    deposit(bob.id, Decimal(5), key="k")
    with pytest.raises(TransferKeyReused):
        deposit(bob.id, Decimal(6), key="k")
    with pytest.raises(TransferKeyReused):
        withdraw(bob.id, Decimal(5), key="k")
    assert cash_of(bob) == 505


def test_keys_of_different_customers_are_independent(alice: Customer, bob: Customer) -> None:
    deposit(bob.id, Decimal(5), key="k")
    assert deposit(alice.id, Decimal(6), key="k")[1] is False


def test_without_a_key_each_call_moves_cash(bob: Customer) -> None:
    deposit(bob.id, Decimal(5))
    deposit(bob.id, Decimal(5))
    assert cash_of(bob) == 510


def test_a_refused_withdrawal_stores_nothing(bob: Customer) -> None:
    with pytest.raises(InsufficientFunds):
        withdraw(bob.id, Decimal("500.0001"), key="k")
    assert not Transfer.objects.filter(idempotency_key="k").exists()
    assert Posting.objects.filter(customer=bob).count() == 1


def test_held_cash_cannot_be_withdrawn(bob: Customer) -> None:
    place_trade(bob.id, "AAPL", "BUY", 1)
    claim(bob)
    with pytest.raises(InsufficientFunds):
        withdraw(bob.id, Decimal("0.0001"))


def test_a_balance_has_a_maximum(bob: Customer) -> None:
    deposit(bob.id, LARGEST_AMOUNT - 500)
    with pytest.raises(BalanceTooLarge):
        deposit(bob.id, Decimal("0.0001"))
    assert cash_of(bob) == LARGEST_AMOUNT
