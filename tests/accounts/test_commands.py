"""The commands create_customer and load_demo, called as an operator calls them."""

import io
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth import authenticate
from django.core.management import CommandError, call_command

from accounts import tokens
from accounts.models import Balance, Customer


def call(*arguments: str) -> str:
    output = io.StringIO()
    call_command(*arguments, stdout=output)
    return output.getvalue()


@pytest.fixture(autouse=True)
def _folder(settings: Any, tmp_path: Path, db: None) -> None:
    settings.DATA_DIR = str(tmp_path)
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


def test_a_new_customer_has_cash_a_password_and_a_token() -> None:
    output = call("create_customer", "New@Example.com", "--password", "s3cret pass", "--deposit", "100000", "--json")
    created = json.loads(output)
    assert output.count("\n") == 1
    assert set(created) == {"customerId", "email", "token"}
    customer = Customer.objects.get(id=created["customerId"])
    assert created["email"] == customer.email == "new@example.com"
    assert Balance.objects.get(customer=customer).amount == 100_000
    token = tokens.find(created["token"])
    assert token is not None
    assert token.customer == customer
    assert authenticate(username="new@example.com", password="s3cret pass") == customer


def test_without_a_deposit_there_is_an_empty_account() -> None:
    created = json.loads(call("create_customer", "new@example.com", "--json"))
    assert Balance.objects.get(customer_id=created["customerId"]).amount == 0
    assert not Customer.objects.get(id=created["customerId"]).has_usable_password()


def test_without_json_the_output_is_a_sentence() -> None:
    output = call("create_customer", "new@example.com", "--deposit", "99.5")
    assert "99.5000 USD" in output
    assert "brk_" in output


@pytest.mark.parametrize("email", ["", "x", "a@", "a b@example.com", "\x00@example.com", f"{'x' * 250}@example.com"])
def test_an_invalid_email_address_is_refused_in_one_line(email: str) -> None:
    with pytest.raises(CommandError, match="not an email address") as caught:
        call("create_customer", email)
    assert "\n" not in str(caught.value)


def test_a_name_that_is_too_long_is_refused() -> None:
    with pytest.raises(CommandError):
        call("create_customer", "new@example.com", "--name", "x" * 121)
    assert not Customer.objects.exists()


def test_an_email_address_can_have_only_one_account() -> None:
    call("create_customer", "new@example.com")
    with pytest.raises(CommandError, match="already has an account"):
        call("create_customer", "NEW@example.com", "--deposit", "5")
    assert Balance.objects.get(customer__email="new@example.com").amount == 0


@pytest.mark.parametrize("amount", ["-1", "abc", "NaN", "sNaN", "Infinity", "1.00001", "1e30", "1000000000000000", ""])
def test_an_invalid_amount_is_refused_and_opens_no_account(amount: str) -> None:
    with pytest.raises(CommandError, match="--deposit takes an amount"):
        call("create_customer", "new@example.com", f"--deposit={amount}")
    assert not Customer.objects.exists()


def test_the_demo_has_a_customer_with_cash_and_a_member_of_staff() -> None:
    created = json.loads(call("load_demo", "--json"))
    assert set(created) == {"customer", "staff"}
    customer = Customer.objects.get(email=created["customer"]["email"])
    staff = Customer.objects.get(email=created["staff"]["email"])
    assert (customer.is_staff, staff.is_staff) == (False, True)
    assert Balance.objects.get(customer=customer).amount == Decimal(25_000)
    for account in (created["customer"], created["staff"]):
        assert authenticate(username=account["email"], password=account["password"]) is not None


def test_loading_the_demo_twice_changes_nothing() -> None:
    first, second = call("load_demo", "--json"), call("load_demo", "--json")
    assert first == second
    assert Customer.objects.count() == 2
    assert Balance.objects.get(customer__is_staff=False).amount == Decimal(25_000)


def test_only_its_owner_can_read_the_demo_token_file(tmp_path: Path) -> None:
    call("load_demo")
    assert (tmp_path / "demo-token").stat().st_mode & 0o777 == 0o600


def test_a_demo_token_of_another_database_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "demo-token").write_text("brk_from-another-database")
    token = json.loads(call("load_demo", "--json"))["customer"]["token"]
    assert tokens.find(token) is not None
    assert (tmp_path / "demo-token").read_text() == token
