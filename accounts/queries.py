"""What is read of accounts."""

from django.db.models import QuerySet

from accounts.models import Balance, Position, Posting, Token


def balance_of(customer_id: int) -> Balance:
    """A customer's cash."""
    return Balance.objects.get(customer_id=customer_id)


def positions_of(customer_id: int) -> QuerySet[Position]:
    """The stocks that a customer holds now, by ticker."""
    return Position.objects.filter(customer_id=customer_id, quantity__gt=0).order_by("ticker")


def postings_of(customer_id: int) -> QuerySet[Posting]:
    """A customer's ledger."""
    return Posting.objects.filter(customer_id=customer_id)


def tokens_of(customer_id: int) -> QuerySet[Token]:
    """A customer's tokens, newest first."""
    return Token.objects.filter(customer_id=customer_id).order_by("-created_at")
