"""The cost of each page: its bytes, queries and response time, and the number of axe findings.

The table is kept beside the pictures, as `pages.csv`. Times are for people to read: no test depends on them. Bytes and
queries have limits, generous ones, so that a page that has become much more expensive fails.
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
    """A line of the table. `bytes` is the HTML, not compressed; `axe` the violations of WCAG 2.2 AA in all looks."""

    page: str
    bytes: int
    queries: int
    ms: int
    axe: int

    def complaints(self, bytes_max: int = BYTES_MAX, queries_max: int = QUERIES_MAX) -> list[str]:
        """Return where the page costs more than any page should."""
        found = []
        if self.bytes > bytes_max:
            found.append(f"{self.page}: {self.bytes:,} bytes, the limit is {bytes_max:,}")
        if self.queries > queries_max:
            found.append(f"{self.page}: {self.queries} queries, the limit is {queries_max}")
        return found


def cost_of(page: str, path: str, cookies: dict[str, str], axe: int) -> Cost:
    """Return what a page costs whoever has these cookies. The page is asked for in this thread."""
    client = Client()
    client.cookies.load(cookies)
    with CaptureQueriesContext(connection) as queries:
        began = time.perf_counter()
        answer = client.get(path)
        took = time.perf_counter() - began
    return Cost(page, len(answer.content), len(queries), round(took * 1000), axe)


def keep(cost: Cost, folder: Path) -> None:
    """Keep a line of the table, instead of the one that the page had."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "pages.csv").open("a+", newline="") as table:
        fcntl.flock(table, fcntl.LOCK_EX)
        table.seek(0)
        lines = {row[0]: row for row in list(csv.reader(table))[1:]}
        lines[cost.page] = [str(value) for value in astuple(cost)]
        table.seek(0)
        table.truncate()
        csv.writer(table).writerows([[field.name for field in fields(Cost)], *(lines[page] for page in sorted(lines))])
