"""A statement as a PDF document."""

from accounts.models import Customer
from accounts.statements import Statement, gains_rows
from web import pdf
from web.templatetags.figures import cents, day, describe, signed_cents, usd


def statement_pdf(statement: Statement) -> bytes:
    """Return a statement as a PDF. The same postings and closing prices always give the same bytes."""
    month = statement.month
    period = f"{month.first:%B} {month.first.day} to {month.last.day}, {month.year}"
    first_part = [*_sums(statement), *_shares(statement), *_unsettled(statement), *_gains(statement)]
    final = "Final." if statement.is_final else "Not final."
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
        *([words, cents(amount)] for words, amount in statement.sums),
        ["Cash at the end" if statement.month.is_over else "Cash so far", cents(statement.closing)],
    ]
    return [pdf.Table(rows, [3, 1], 1, head=False, bold=[len(rows) - 1]), pdf.Gap(18)]


def _shares(statement: Statement) -> list[pdf.Part]:
    rows = [
        [
            holding.ticker,
            f"{holding.opening:,}",
            usd(holding.opening_price),
            cents(holding.opening_value),
            f"{holding.closing:,}",
            usd(holding.closing_price),
            cents(holding.closing_value),
        ]
        for holding in statement.shares
    ]
    if not rows:
        return [*pdf.heading("Shares"), pdf.Text("No shares were held.", muted=True), pdf.Gap(18)]
    head = ["Stock", "At the beginning", "Price", "Value", "At the end", "Price", "Value"]
    total = ["All shares", "", "", cents(statement.opening_value), "", "", cents(statement.closing_value)]
    note: list[pdf.Part] = [pdf.Text(statement.note_on_prices, muted=True)] if statement.note_on_prices else []
    table = pdf.Table([head, *rows, total], [1.4, 1.3, 1, 1.2, 1.1, 1, 1.2], 1, bold=[len(rows) + 1])
    return [*pdf.heading("Shares"), table, *note, pdf.Gap(18)]


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
    shown = (
        pdf.Table([head, *rows], [1.1, 2.4, 1.1, 1, 1], 3)
        if rows
        else pdf.Text("No transactions in this month.", muted=True)
    )
    return [*pdf.heading("All transactions"), shown]
