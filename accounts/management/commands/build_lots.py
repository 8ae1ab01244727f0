"""`manage.py build_lots`: date the postings made before settlement dates were stored, and build their lots."""

import time
from collections.abc import Iterator
from typing import Any

from django.core.management.base import BaseCommand, CommandParser
from django.db import connection, transaction

from accounts.ledger import open_books
from accounts.lot_history import build_lots_of

POSTINGS_A_BATCH = 10_000
UNDATED = "SELECT customer_id, count(*) FROM accounts_posting WHERE settles_on IS NULL GROUP BY customer_id ORDER BY 1"


class Command(BaseCommand):
    """Dates postings in batches of customers, one transaction each. It can be stopped and run again at any time."""

    help = "Date the postings from before settlement dates were kept, and build their lots. Can be stopped and goes on."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--batch", type=int, default=POSTINGS_A_BATCH, help="How many postings a transaction dates, about."
        )

    def handle(self, *_: Any, batch: int, **options: Any) -> None:
        """Date all postings, and print the progress after each batch."""
        with connection.cursor() as cursor:
            cursor.execute(UNDATED)
            waiting: list[tuple[int, int]] = cursor.fetchall()
        total, done, began = sum(count for _, count in waiting), 0, time.monotonic()
        for customer_ids, count in _batches(waiting, batch):
            with transaction.atomic(durable=True):
                open_books(customer_ids)
                build_lots_of(customer_ids)
            done += count
            rate = done / max(time.monotonic() - began, 0.001)
            self.stdout.write(f"{done:,} of {total:,} postings, {rate:,.0f} a second")
        self.stdout.write("Every posting has its date, and every share its lot.")


def _batches(waiting: list[tuple[int, int]], size: int) -> Iterator[tuple[list[int], int]]:
    customer_ids: list[int] = []
    postings = 0
    for customer_id, count in waiting:
        customer_ids.append(customer_id)
        postings += count
        if postings >= size:
            yield customer_ids, postings
            customer_ids, postings = [], 0
    if customer_ids:
        yield customer_ids, postings
