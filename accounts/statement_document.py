"""A statement as a PDF document, and the tables that it has in common with the page."""

from typing import NamedTuple

from accounts.models import Customer
from accounts.statements import Statement, gains_rows
from web import pdf
from web.templatetags.figures import cents, day, describe, signed_cents, usd


def statement_pdf(statement: Statement) -> bytes:
    """Return a statement as a PDF. The same postings and closing prices always give the same bytes."""
    month = statement.month
    period = f"{month.first:%B} {month.first.day} to {month.last.day}, {month.year}"
    first_part = [*_sums(statement), *_shares(statement), *_unsettled(statement), *_gains(statement)]
    final = "Final" if statement.is_final else "Not final"
    part = f" · Part {statement.part} of {statement.parts}" if statement.parts > 1 else ""
    name = pdf.printable(statement.name, Customer.objects.get(id=statement.account).email)
    return pdf.document(
        f"Statement for {month}",
        f"{name} · Account {statement.account} · {period}{part} · {final}",
        [*(first_part if statement.part == 1 else []), *_movements(statement)],
        f"Account {statement.account} · {month} · made from postings and closing prices · all amounts in USD",
    )


def _sums(statement: Statement) -> list[pdf.Part]:
    rows = [
        ["Cash at the beginning", cents(statement.opening)],
        *([label, cents(amount)] for label, amount in statement.sums),
        ["Cash at the end" if statement.month.is_over else "Cash so far", cents(statement.closing)],
    ]
    return [pdf.Table(rows, [3, 1], 1, head=False, bold=[len(rows) - 1]), pdf.Gap(18)]


def _shares(statement: Statement) -> list[pdf.Part]:
    if not statement.shares:
        return [*pdf.heading("Shares"), pdf.Text("No shares were held.", muted=True), pdf.Gap(18)]
    shares = shares_table(statement)
    note: list[pdf.Part] = []
    if statement.note_on_prices:
        note = [pdf.Gap(6), pdf.Text(statement.note_on_prices, muted=True)]
    bold = [len(shares.rows) - 1] if shares.has_total else []
    return [*pdf.heading("Shares"), pdf.Table(shares.rows, shares.widths, 1, bold=bold), *note, pdf.Gap(18)]


class SharesTable(NamedTuple):
    """The table of shares: a heading, a row for each stock, and the total if there are values."""

    rows: list[list[str]]
    widths: list[float]
    has_total: bool


def shares_table(statement: Statement) -> SharesTable:
    """Return the table of shares at the beginning and at the end, without prices and values where none is known."""
    held = statement.shares
    columns: list[tuple[float, list[str]]] = [
        (1.4, ["Stock", *(holding.ticker for holding in held), "All shares"]),
        (1.3, ["At the beginning", *(f"{holding.opening:,}" for holding in held), ""]),
    ]
    if any(holding.opening_price for holding in held if holding.opening):
        prices = [usd(holding.opening_price) if holding.opening else "" for holding in held]
        values = [cents(holding.opening_value) for holding in held]
        columns += [(1, ["Price", *prices, ""]), (1.2, ["Value", *values, cents(statement.opening_value)])]
    end = "At the end" if statement.month.is_over else "Now"
    columns += [(1.1, [end, *(f"{holding.closing:,}" for holding in held), ""])]
    if any(holding.closing_price for holding in held if holding.closing):
        prices = [usd(holding.closing_price) if holding.closing else "" for holding in held]
        values = [cents(holding.closing_value) for holding in held]
        columns += [(1, ["Price", *prices, ""]), (1.2, ["Value", *values, cents(statement.closing_value)])]
    rows = [list(row) for row in zip(*(texts for _, texts in columns), strict=True)]
    has_total = any(texts[0] == "Value" for _, texts in columns)
    return SharesTable(rows if has_total else rows[:-1], [width for width, _ in columns], has_total)


def _unsettled(statement: Statement) -> list[pdf.Part]:
    if not statement.unsettled:
        return []
    rows = [
        [describe(item.kind, item.ticker, item.quantity, item.price), day(item.settles_on), signed_cents(item.change)]
        for item in statement.unsettled
    ]
    head = ["Trade", "Settles", "Net amount"]
    return [*pdf.heading("Not settled yet"), pdf.Table([head, *rows], [3, 1, 1], 1), pdf.Gap(18)]


def _gains(statement: Statement) -> list[pdf.Part]:
    rows = [
        [label, cents(totals.proceeds), cents(totals.cost), signed_cents(totals.gain)]
        for label, totals in gains_rows(statement)
    ]
    head = ["Period and term", "Proceeds", "Cost", "Gain"]
    return [*pdf.heading("Realized gains"), pdf.Table([head, *rows], [3, 1, 1, 1], 1), pdf.Gap(18)]


def _movements(statement: Statement) -> list[pdf.Part]:
    rows = [
        [
            day(line.traded_on),
            describe(line.kind, line.ticker, line.quantity, line.price),
            day(line.settles_on) if line.settles_on else "—",
            signed_cents(line.change),
            cents(line.balance),
        ]
        for line in statement.lines
    ]
    head = ["Date", "What", "Settles", "Amount", "Balance"]
    content = (
        pdf.Table([head, *rows], [1.1, 2.4, 1.1, 1, 1], 3)
        if rows
        else pdf.Text("No transactions in this month.", muted=True)
    )
    return [*pdf.heading("All transactions"), content]
