"""Queries about accounts. Nothing here writes."""

from datetime import datetime

from django.db import connection
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


def first_id_at(table: str, column: str, moment: datetime) -> int:
    """Return the id from which a table's rows have this time or a later one, by binary search over the ids.

    Ids are drawn in order but committed a little out of order, so callers must leave a margin of some minutes.
    """
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT coalesce(max(id), 0) + 1 FROM {table}")
        low, high = 0, int(cursor.fetchone()[0])
        while low < high:
            middle = (low + high) // 2
            cursor.execute(f"SELECT id, {column} FROM {table} WHERE id > %s ORDER BY id LIMIT 1", [middle])
            found = cursor.fetchone()
            if found and found[1] < moment:
                low = found[0]
            else:
                high = middle
    return low
