"""A statement as a PDF document."""

from accounts.statements import Statement
from web import pdf
from web.templatetags.figures import describe, signed, usd
from web.timezones import EASTERN


def made_of(statement: Statement) -> bytes:
    """Return a statement as PDF. The same postings always make the same bytes."""
    month = statement.month
    period = f"{month.first:%B} {month.first.day} to {month.last.day}, {month.year}"
    final = "Final." if statement.is_final else "Not final: the month is not over."
    part = f" · Part {statement.part} of {statement.parts}" if statement.parts > 1 else ""
    return pdf.document(
        f"Statement for {month}",
        f"Account {statement.account} · {period}{part} · {final}",
        [*(_sums(statement) + _shares(statement) if statement.part == 1 else []), *_movements(statement)],
        f"Account {statement.account} · {month} · made from the account's postings · all amounts in USD",
        whose=statement.account,
    )


def _sums(statement: Statement) -> list[pdf.Part]:
    rows = [
        ["Cash at the beginning", usd(statement.opening)],
        *([words, usd(amount)] for words, amount in statement.sums),
        ["Cash at the end" if statement.is_final else "Cash so far", usd(statement.closing)],
    ]
    return [pdf.Table(rows, [3, 1], 1, head=False, last_bold=True), pdf.Gap(18)]


def _shares(statement: Statement) -> list[pdf.Part]:
    rows = [[ticker, f"{begin:,}", f"{end - begin:+,}", f"{end:,}"] for ticker, begin, end in statement.shares]
    head = ["Stock", "At the beginning", "Change", "At the end"]
    shown = pdf.Table([head, *rows], [3, 1, 1, 1], 1) if rows else pdf.Text("None were held.", soft=True)
    return [pdf.heading("Shares"), pdf.Gap(4), shown, pdf.Gap(18)]


def _movements(statement: Statement) -> list[pdf.Part]:
    rows = [
        [
            f"{line.at.astimezone(EASTERN):%b %d, %Y %H:%M:%S}",
            describe(line.kind, line.ticker, line.quantity, line.price),
            signed(line.change),
            usd(line.balance),
        ]
        for line in statement.lines
    ]
    head = ["Time (Eastern)", "What", "Amount", "Balance"]
    shown = pdf.Table([head, *rows], [1.5, 2.4, 1, 1], 2) if rows else pdf.Text("None in this month.", soft=True)
    return [pdf.heading("Every movement"), pdf.Gap(4), shown]
