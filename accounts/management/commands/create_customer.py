"""`manage.py create_customer EMAIL --password P --deposit 100000 --json`"""

import json
from decimal import Decimal, InvalidOperation
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError, CommandParser

from accounts import tokens
from accounts.customers import EmailTaken, create_customer
from accounts.funding import deposit
from accounts.money import LARGEST_AMOUNT, money


class Command(BaseCommand):
    help = "Open an account with cash and a token for programs. An email address can have one account."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("email")
        parser.add_argument("--password", help="Without one, nobody can sign in with a password.")
        parser.add_argument("--deposit", default="0", help="USD, with up to four decimals.")
        parser.add_argument("--name", default="")
        parser.add_argument("--json", action="store_true", help="Print one JSON object.")

    def handle(self, *args: Any, **options: Any) -> None:
        amount = self._amount(options["deposit"])
        try:
            customer = create_customer(options["email"], options["password"], name=options["name"])
        except ValidationError as error:
            raise CommandError(error.messages[0]) from None
        except EmailTaken as error:
            raise CommandError(str(error)) from None
        if amount:
            deposit(customer.id, amount)
        issued = tokens.issue(customer, "create_customer")
        result = {"customerId": customer.id, "email": customer.email, "token": issued.token}
        if options["json"]:
            self.stdout.write(json.dumps(result))
        else:
            self.stdout.write(f"Customer {customer.id}, {customer.email}, has {amount} USD and token {issued.token}")

    def _amount(self, text: str) -> Decimal:
        try:
            amount = Decimal(text)
        except InvalidOperation:
            amount = Decimal("NaN")
        if not (amount.is_finite() and 0 <= amount < LARGEST_AMOUNT and amount == money(amount)):
            raise CommandError(f"--deposit takes an amount in USD, such as 100000 or 99.50, not “{text}”.")
        return money(amount)
