"""`manage.py load_demo --json`: accounts to try the brokerage with."""

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

from allauth.mfa.totp.internal.auth import TOTP
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from accounts import tokens
from accounts.customers import create_customer
from accounts.funding import deposit
from accounts.models import Customer
from accounts.watchlists import watch

CUSTOMER, STAFF = "demo@example.com", "staff@example.com"
WATCHED = ("AAPL", "MSFT", "NVDA", "DIS", "KO")
SECOND_FACTOR = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"
PASSWORD = "demo-only-password"  # noqa: S105 — printed by `make run`, and good for nothing else


class Command(BaseCommand):
    help = "Create a demo customer with cash and a token, and a demo staff member. Running it again changes nothing."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", help="Print one JSON object.")

    def handle(self, *args: Any, **options: Any) -> None:
        if settings.PRODUCTION or not settings.DEMO:
            raise CommandError(
                "Demo accounts have public passwords. They are created only in embedded databases or with DEMO=1, and "
                "never with PRODUCTION."
            )
        customer = Customer.objects.filter(email=CUSTOMER).first()
        if customer is None:
            customer = create_customer(CUSTOMER, PASSWORD, name="Alice Demo")
            for ticker in WATCHED:
                watch(customer.id, ticker)
        deposit(customer.id, Decimal("25000.0000"), key="demo")
        if not Customer.objects.filter(email=STAFF).exists():
            staff = create_customer(STAFF, PASSWORD, name="Sam Staff", is_staff=True, is_superuser=True)
            TOTP.activate(staff, SECOND_FACTOR)
        created = {
            "customer": {"email": CUSTOMER, "password": PASSWORD, "token": self._token(customer)},
            "staff": {"email": STAFF, "password": PASSWORD, "secondFactor": SECOND_FACTOR},
        }
        self.stdout.write(json.dumps(created, indent=None if options["json"] else 2))

    def _token(self, customer: Customer) -> str:
        """Return the demo token, which is created once. Its text is in DATA_DIR: the database stores only its hash."""
        token_file = Path(settings.DATA_DIR) / "demo-token"
        if token_file.exists() and tokens.find(token_file.read_text()):
            return token_file.read_text()
        token = tokens.issue(customer, "demo").token
        token_file.touch(mode=0o600)
        token_file.write_text(token)
        return token
