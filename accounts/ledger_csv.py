"""The ledger as a CSV file."""

import csv
from io import StringIO

from django.db import connection
from django.db.models import QuerySet

from accounts.models import Posting

COLUMNS = (
    *("posting", "time (UTC)", "kind", "cause"),
    *("cash (USD)", "balance (USD)", "stock", "shares", "position", "price", "settles on"),
)
# The database writes the text: to make twenty thousand objects would hold up the whole process for half a second. The
# exchange chooses a stock's name, so it is marked as text where a spreadsheet would run it, as by `as_text`.
ROWS = r"""
    SELECT id::text, to_char(created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US+00:00'), kind, cause::text,
           CASE WHEN ticker = '' THEN change::text END, CASE WHEN ticker = '' THEN total::text END,
           CASE WHEN ticker ~ E'^[-=+@\t\r]' THEN '''' || ticker ELSE ticker END,
           CASE WHEN ticker <> '' THEN change::bigint::text END,
           CASE WHEN ticker <> '' THEN total::bigint::text END,
           price::text, settles_on::text
    FROM ({}) AS posting ORDER BY posting.id
"""


def csv_of(postings: QuerySet[Posting]) -> str:
    """Return postings as CSV, oldest first."""
    sql, parameters = postings.query.sql_with_params()
    with connection.cursor() as cursor:
        cursor.execute(ROWS.format(sql), parameters)
        rows = cursor.fetchall()
    file = StringIO()
    writer = csv.writer(file)
    writer.writerow(COLUMNS)
    writer.writerows(rows)
    return file.getvalue()
