"""The daily report: volume, cash in and out, rejects, fees and exceptions of one trading day, Eastern."""

import json
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

from django.core.mail import EmailMultiAlternatives
from django.db import connection, transaction
from django.template.loader import render_to_string

from accounts.models import CASH, Posting
from accounts.queries import first_id_at
from office.models import DailyReport
from office.roles import POWERS, Power, staff_with
from web.timezones import EASTERN, eastern_today

CLOCKS_APART = timedelta(minutes=10)  # ids use the web server's clock, the times of trades the database's
FIRST_DAY, LAST_DAY = date(1970, 1, 3), date(9999, 12, 29)
# What a kind of posting is called where only its cash counts.
CASH_MOVED: dict[str, str] = {
    Posting.Kind.DEPOSIT: "Deposits",
    Posting.Kind.WITHDRAWAL: "Withdrawals",
    Posting.Kind.BUY: "Paid for purchases",
    Posting.Kind.SELL: "Proceeds of sales",
    Posting.Kind.ADJUSTMENT: "Adjustments",
    Posting.Kind.DIVIDEND: "Dividends",
    Posting.Kind.SPLIT: "Cash in lieu of fractions",
    Posting.Kind.FEE: "Regulatory fees",
}


def figures_of(day: date) -> dict[str, Any]:
    """Compute the figures of a day. Amounts are in USD, as strings. Primary keys serve the queries at any table size.

    Args:
        day: From FIRST_DAY to LAST_DAY, Eastern.
    """
    begin, end = (datetime.combine(at, time(), EASTERN) for at in (day, day + timedelta(days=1)))
    bounds: dict[str, Any] = {
        "begin": begin,
        "end": end,
        "first": _id_at(begin - CLOCKS_APART),
        "last": _id_at(end + CLOCKS_APART),
    }
    for table, column in (("accounts_posting", "created_at"), ("accounts_customer", "joined_at")):
        bounds[f"{table}_first"] = first_id_at(table, column, begin - CLOCKS_APART)
        bounds[f"{table}_last"] = first_id_at(table, column, end + CLOCKS_APART) + 1
    placed, filled, rejected, volume, customers = _rows(TRADES, bounds)[0]
    return {
        "day": str(day),
        "placed": placed,
        "filled": filled,
        "rejected": rejected,
        "volume": str(volume),
        "activeCustomers": customers,
        "newCustomers": _rows(CUSTOMERS, bounds)[0][0],
        "rejects": dict(_rows(REJECTS, bounds)),
        "cash": {str(kind): {"count": count, "total": str(total)} for kind, count, total in _rows(POSTINGS, bounds)},
        "exceptionsFound": _rows(CASES_FOUND, bounds)[0][0],
        "exceptionsClosed": _rows(CASES_CLOSED, bounds)[0][0],
        "exceptionsOpen": _rows(CASES_OPEN, bounds)[0][0],
    }


def rows_of(figures: dict[str, Any]) -> list[tuple[str, str]]:
    """Return the figures as pairs of a title and a value, for the page, the CSV file and the mail."""
    lines = [
        ("Trades placed", f"{figures['placed']:,}"),
        ("Trades filled", f"{figures['filled']:,}"),
        ("Trades rejected", f"{figures['rejected']:,}"),
        ("Volume filled, USD", f"{Decimal(figures['volume']):,.2f}"),
        ("Customers that placed trades", f"{figures['activeCustomers']:,}"),
        ("New customers", f"{figures['newCustomers']:,}"),
    ]
    for reason, count in sorted(figures["rejects"].items(), key=lambda item: -item[1]):
        lines.append((f"Rejected: {reason.replace('_', ' ')}", f"{count:,}"))
    for kind, moved in figures["cash"].items():
        lines.append((f"{CASH_MOVED.get(kind, kind.capitalize())}, USD", f"{Decimal(moved['total']):+,.2f}"))
    lines += [
        ("Exceptions found", f"{figures['exceptionsFound']:,}"),
        ("Exceptions closed", f"{figures['exceptionsClosed']:,}"),
        ("Exceptions open now", f"{figures['exceptionsOpen']:,}"),
    ]
    return lines


def report_of(day: date) -> dict[str, Any]:
    """Return the figures of a day: as they were mailed, or computed now if they have not been."""
    mailed = DailyReport.objects.filter(day=day).first()
    return mailed.figures if mailed else figures_of(day)


def send_due() -> bool:
    """Store and mail the report of the previous day; return whether it was due.

    Idempotent: only one process stores and mails it.
    """
    day = eastern_today() - timedelta(days=1)
    if DailyReport.objects.filter(day=day).exists():
        return False
    report = DailyReport(day=day, figures=figures_of(day))
    with transaction.atomic(durable=True):
        if _insert(report):
            _mail(report, [staff.email for staff in staff_with(POWERS[Power.PROVE])])
            return True
    return False


def _mail(report: DailyReport, recipients: list[str]) -> None:
    context = {"day": report.day, "rows": rows_of(report.figures)}
    mail = EmailMultiAlternatives(
        subject=f"Daily report for {report.day:%A, %B %-d, %Y}",
        body=render_to_string("office/daily_report.txt", context),
        bcc=recipients,
    )
    mail.attach_alternative(render_to_string("office/daily_report_mail.html", context), "text/html")
    if recipients:
        mail.send()


def _insert(report: DailyReport) -> bool:
    with connection.cursor() as cursor:
        cursor.execute(INSERT, [report.day, json.dumps(report.figures)])
        return bool(cursor.rowcount)


def _id_at(moment: datetime) -> str:
    return f"{max(int(moment.timestamp() * 1000), 0):012x}".ljust(32, "0")


def _rows(statement: str, bounds: dict[str, Any]) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(statement, bounds | {"cash": CASH})
        rows: list[tuple[Any, ...]] = cursor.fetchall()
        return rows


# Ids increase with time, so the primary key finds the trades of a day.
OF_DAY = "id >= %(first)s::uuid AND id < %(last)s::uuid AND placed_at >= %(begin)s AND placed_at < %(end)s"
TRADES = f"""
    SELECT count(*), count(*) FILTER (WHERE status = 'FILLED'), count(*) FILTER (WHERE status = 'REJECTED'),
           coalesce(sum(amount) FILTER (WHERE status = 'FILLED'), 0), count(DISTINCT customer_id)
    FROM trades_trade WHERE {OF_DAY}
"""
REJECTS = f"""
    SELECT reason_code, count(*) FROM trades_trade WHERE {OF_DAY} AND status = 'REJECTED' GROUP BY 1 ORDER BY 2 DESC
"""
CUSTOMERS = """
    SELECT count(*) FROM accounts_customer
    WHERE id > %(accounts_customer_first)s AND id <= %(accounts_customer_last)s
      AND joined_at >= %(begin)s AND joined_at < %(end)s
"""
INSERT = "INSERT INTO office_dailyreport (day, figures) VALUES (%s, %s::jsonb) ON CONFLICT DO NOTHING"
POSTINGS = """
    SELECT kind, count(*), sum(change) FROM accounts_posting
    WHERE id > %(accounts_posting_first)s AND id <= %(accounts_posting_last)s AND ticker = %(cash)s
      AND created_at >= %(begin)s AND created_at < %(end)s GROUP BY kind ORDER BY kind
"""
CASES_FOUND = "SELECT count(*) FROM office_case WHERE found_at >= %(begin)s AND found_at < %(end)s"
CASES_CLOSED = "SELECT count(*) FROM office_case WHERE closed_at >= %(begin)s AND closed_at < %(end)s"
CASES_OPEN = "SELECT count(*) FROM office_case WHERE closed_at IS NULL"
