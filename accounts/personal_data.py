"""Personal data: export and erase everything that we store about a customer.

Each app that stores personal data has a module like this one, listed in the setting PERSONAL_DATA: `sections` returns
the data by name, and `erase` removes what the law lets us remove. Books, trades and the audit log stay, because a
broker must keep them for six years.

Source: SEC rules 17a-3 and 17a-4 (books and records).
"""

import json
from collections.abc import Iterable, Mapping
from importlib import import_module
from typing import Any

import structlog
from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from allauth.usersessions.models import UserSession
from django.conf import settings
from django.core.serializers.json import DjangoJSONEncoder
from django.db import transaction
from django.db.models import QuerySet
from django.db.models.functions import Now

from accounts import tokens
from accounts.access_lock import lock_customer
from accounts.closing import is_closed
from accounts.models import (
    Adjustment,
    Customer,
    GoodFaithViolation,
    Lot,
    LotClosing,
    MutedNotice,
    Notice,
    Position,
    Posting,
    SignIn,
    Token,
    Transfer,
    Watchlist,
)

ROWS_A_PART = 5_000  # of each section, so that a part can be made within a request
ERASED_ADDRESS = "erased-{}@erased.invalid"  # .invalid: never delivered (RFC 2606)
log = structlog.get_logger()

Section = QuerySet[Any, Any]


class AccountStillOpen(Exception):
    """Personal data can be erased only after the account was closed."""


def parts_of(customer_id: int) -> int:
    """Return how many parts the download has: one, unless a section has more than ROWS_A_PART rows."""
    rows = max(section.count() for section in _sections(customer_id).values())
    return max(1, -(-rows // ROWS_A_PART))


def part_of(customer_id: int, part: int, parts: int) -> bytes:
    """Return one part of everything we store about a customer as JSON, with ROWS_A_PART rows of each section.

    Args:
        customer_id: The customer.
        part: The number of the part, from 1.
        parts: How many parts there are, as counted by `parts_of`.
    """
    first = (part - 1) * ROWS_A_PART
    found = {name: list(rows[first : first + ROWS_A_PART]) for name, rows in _sections(customer_id).items()}
    document = {"part": part, "parts": parts} | found
    return json.dumps(document, cls=DjangoJSONEncoder, indent=1).encode()


def erase_personal_data(customer_id: int) -> None:
    """Permanently replace a former customer's name and email address, and delete all that the books don't need.

    Idempotent: yes.

    Raises:
        AccountStillOpen: The account is not closed.
    """
    with transaction.atomic(durable=True):
        if not is_closed(customer_id):
            raise AccountStillOpen
        for module in _modules():
            module.erase(customer_id)
    log.info("personal data erased", customer=customer_id)


def _modules() -> Iterable[Any]:
    return [import_module(name) for name in settings.PERSONAL_DATA]


def _sections(customer_id: int) -> dict[str, Section]:
    found: dict[str, Section] = {}
    for module in _modules():
        found |= module.sections(customer_id)
    return found


# -- what this app stores


def sections(customer_id: int) -> Mapping[str, Section]:
    """Return what this app stores about a customer, without secrets and their hashes."""
    owned = {"customer_id": customer_id}
    return {
        "profile": Customer.objects.filter(pk=customer_id)
        .order_by("pk")
        .values("id", "email", "name", "joined_at", "last_login", "theme", "time_zone", "is_active", "closed_at"),
        "emailAddresses": EmailAddress.objects.filter(user_id=customer_id).order_by("pk").values("email", "verified"),
        "secondFactors": Authenticator.objects.filter(user_id=customer_id)
        .order_by("pk")
        .values("type", "created_at", "last_used_at"),
        "sessions": UserSession.objects.filter(user_id=customer_id)
        .order_by("pk")
        .values("created_at", "last_seen_at", "ip", "user_agent"),
        "signIns": SignIn.objects.filter(**owned)
        .order_by("pk")
        .values("at", "kind", "address", "device", "second_factor"),
        "tokens": Token.objects.filter(**owned)
        .order_by("pk")
        .values(
            *("id", "name", "scopes", "allowed_addresses", "created_at", "expires_at"),
            *("last_used_at", "last_used_address"),
        ),
        "watchlists": Watchlist.objects.filter(**owned).order_by("pk").values("name", "tickers", "created_at"),
        "positions": Position.objects.filter(**owned).order_by("pk").values("ticker", "quantity", "held", "cost"),
        "lots": Lot.objects.filter(**owned)
        .order_by("pk")
        .values("ticker", "cause", "acquired_on", "quantity", "cost", "remaining", "remaining_cost", "paid_with_until"),
        "gains": LotClosing.objects.filter(**owned)
        .order_by("pk")
        .values("ticker", "cause", "acquired_on", "closed_on", "quantity", "cost", "proceeds", "gain"),
        "goodFaithViolations": GoodFaithViolation.objects.filter(**owned)
        .order_by("pk")
        .values("ticker", "cause", "bought_on", "sold_on", "settles_on", "number", "restricts_until", "lifted_at"),
        "transfers": Transfer.objects.filter(**owned).order_by("pk").values("id", "type", "amount", "created_at"),
        "adjustments": Adjustment.objects.filter(**owned)
        .order_by("pk")
        .values("id", "ticker", "change", "price", "reason_code", "asked_at", "approved"),
        "notices": Notice.objects.filter(**owned)
        .order_by("pk")
        .values("created_at", "kind", "title", "text", "sent_at"),
        "mutedNotices": MutedNotice.objects.filter(**owned).order_by("pk").values("kind"),
        "postings": Posting.objects.filter(**owned)
        .order_by("pk")
        .values("id", "created_at", "ticker", "kind", "cause", "change", "total", "price", "settles_on"),
    }


def erase(customer_id: int) -> None:
    """Replace the name and email address, and delete the means of signing in. Needs a transaction.

    The sign-in history stays until its retention ends, because it is the evidence of who used the account.
    """
    customer = Customer.objects.get(pk=customer_id)
    customer.set_unusable_password()
    Customer.objects.filter(pk=customer_id).update(
        email=ERASED_ADDRESS.format(customer_id),
        name="",
        time_zone="",
        password=customer.password,
        erased_at=Now(),
    )
    EmailAddress.objects.filter(user_id=customer_id).delete()
    Authenticator.objects.filter(user_id=customer_id).delete()
    UserSession.objects.filter(user_id=customer_id).delete()
    Watchlist.objects.filter(customer_id=customer_id).delete()
    Notice.objects.filter(customer_id=customer_id).delete()
    MutedNotice.objects.filter(customer_id=customer_id).delete()
    lock_customer(customer_id)
    tokens.end_all(customer_id)
