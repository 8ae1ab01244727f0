"""Reads of accounts."""

from django.db.models import QuerySet

from accounts.models import Balance, Position, Posting, Token


def balance_of(customer_id: int) -> Balance:
    """Return a customer's cash."""
    return Balance.objects.get(customer_id=customer_id)


def positions_of(customer_id: int) -> QuerySet[Position]:
    """Return the positions that a customer holds now, by ticker."""
    return Position.objects.filter(customer_id=customer_id, quantity__gt=0).order_by("ticker")


def postings_of(customer_id: int) -> QuerySet[Posting]:
    """Return a customer's postings."""
    return Posting.objects.filter(customer_id=customer_id)


def tokens_of(customer_id: int) -> QuerySet[Token]:
    """Return a customer's tokens, newest first."""
    return Token.objects.filter(customer_id=customer_id).order_by("-created_at")
