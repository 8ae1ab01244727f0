"""The cost of each page: its bytes, queries and response time, and the number of axe findings.

The table is saved beside the screenshots as `pages.csv`. Times are for information: no test depends on them. Bytes and
queries have generous limits, which a page exceeds only if it has become much more expensive.
"""

import csv
import fcntl
import time
from dataclasses import astuple, dataclass, fields
from pathlib import Path

from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

BYTES_MAX, QUERIES_MAX = 100_000, 30


@dataclass(frozen=True, slots=True)
class Cost:
    """A row of the table. `bytes` is the uncompressed HTML; `axe` counts WCAG violations in all themes and sizes."""

    page: str
    bytes: int
    queries: int
    ms: int
    axe: int

    def complaints(self, bytes_max: int = BYTES_MAX, queries_max: int = QUERIES_MAX) -> list[str]:
        """Return the limits that the page exceeds."""
        complaints = []
        if self.bytes > bytes_max:
            complaints.append(f"{self.page}: {self.bytes:,} bytes, the limit is {bytes_max:,}")
        if self.queries > queries_max:
            complaints.append(f"{self.page}: {self.queries} queries, the limit is {queries_max}")
        return complaints


def cost_of(page: str, path: str, cookies: dict[str, str], axe: int) -> Cost:
    """Return the cost of a page for the customer with these cookies, by requesting it in this thread."""
    client = Client()
    client.cookies.load(cookies)
    with CaptureQueriesContext(connection) as queries:
        started_at = time.perf_counter()
        response = client.get(path)
        seconds = time.perf_counter() - started_at
    return Cost(page, len(response.content), len(queries), round(seconds * 1000), axe)


def save(cost: Cost, folder: Path) -> None:
    """Save a row of the table, in place of the page's earlier one."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "pages.csv").open("a+", newline="") as table:
        fcntl.flock(table, fcntl.LOCK_EX)
        table.seek(0)
        lines = {row[0]: row for row in list(csv.reader(table))[1:]}
        lines[cost.page] = [str(value) for value in astuple(cost)]
        table.seek(0)
        table.truncate()
        csv.writer(table).writerows([[field.name for field in fields(Cost)], *(lines[page] for page in sorted(lines))])
