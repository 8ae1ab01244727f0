"""`manage.py halt [--ticker AAPL | --customer EMAIL] --by STAFF_EMAIL --reason "…" [--lift]`: halt trading."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from accounts.models import Customer
from trades.controls import Kind, set_control

EXAMPLE = 'Example: manage.py halt --ticker AAPL --by sam@staff.example.com --reason "News pending."'


class Command(BaseCommand):
    help = (
        "Halt all trading, or that of one stock or customer. New orders are refused and lanes claim no trades; trades "
        f"at the exchange still execute. Every process follows within a second. {EXAMPLE}"
    )

    def add_arguments(self, parser: CommandParser) -> None:
        subject = parser.add_mutually_exclusive_group()
        subject.add_argument("--ticker", help="Halt this stock only.")
        subject.add_argument("--customer", metavar="EMAIL", help="Halt this customer only.")
        parser.add_argument("--by", metavar="EMAIL", required=True, help="The member of staff who decided it.")
        parser.add_argument("--reason", required=True, help="The reason, for the history.")
        parser.add_argument("--lift", action="store_true", help="Lift the halt instead.")

    def handle(self, *args: Any, **options: Any) -> None:
        by = _find(options["by"])
        if not by.is_staff:
            raise CommandError(f"{by.email} is not a member of staff.")
        ticker, customer = options["ticker"] or "", options["customer"] and _find(options["customer"])
        kind = Kind.HALT_TICKER if ticker else Kind.HALT_CUSTOMER if customer else Kind.HALT_ALL
        control = set_control(
            kind, not options["lift"], reason=options["reason"], by=by, ticker=ticker, customer=customer or None
        )
        subject = control.ticker or (customer.email if customer else "everything")
        self.stdout.write(f"{'Lifted the halt of' if options['lift'] else 'Halted'} {subject}.")


def _find(email: str) -> Customer:
    customer = Customer.objects.filter(email__iexact=email).first()
    if customer is None:
        raise CommandError(f"There is no account with the email address {email}.")
    return customer
