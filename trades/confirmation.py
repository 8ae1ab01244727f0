"""Trade confirmations: their lines, which the trade's page shows too, and the PDF.

Source: SEC rule 10b-10.
"""

from datetime import date, datetime
from typing import NamedTuple

from accounts.models import Customer
from trades.models import FeeRate, Status, Trade, Type
from web import pdf
from web.templatetags.figures import cents, day, market_time, shares, usd

SIDES = {Type.BUY: "Bought", Type.SELL: "Sold"}
CAPACITY = "Agent: we executed your order on the exchange on your behalf."


class Line(NamedTuple):
    """A line of a confirmation. `is_sum`: it is the total of the lines above it."""

    label: str
    text: str
    is_sum: bool = False


def lines_of(trade: Trade, customer: Customer, company: str) -> list[Line]:
    """Return the lines of the confirmation of a FILLED trade. The same rows always give the same lines.

    Raises:
        ValueError: The trade is not FILLED.
    """
    if trade.status != Status.FILLED:
        raise ValueError(f"{trade.id} is {trade.status}")
    name = f"{company} ({trade.ticker})" if company != trade.ticker else trade.ticker
    return [
        Line("Customer", customer.name or customer.email),
        Line("Account", str(trade.customer_id)),
        Line("Order", str(trade.id)),
        Line("Stock", name),
        Line(SIDES[Type(trade.type)], f"{shares(trade.quantity)}, market order"),
        Line("Ordered", _eastern(trade.placed_at)),
        Line("Executed", _eastern(trade.executed_at or trade.settled_at)),
        Line("Trade date", _day(trade.trade_date)),
        Line("Settlement date", _day(trade.settlement_date)),
        Line("Price per share", usd(trade.price)),
        Line("Gross amount", cents(trade.amount)),
        *_fees(trade),
        Line(
            "Net amount you paid" if trade.type == Type.BUY else "Net amount you received",
            cents(trade.net_amount),
            True,
        ),
        Line("Capacity", CAPACITY),
    ]


def confirmation_of(trade: Trade, customer: Customer, company: str) -> bytes:
    """Return the confirmation of a FILLED trade as a PDF. The same rows always give the same bytes."""
    lines = lines_of(trade, customer, company)
    return pdf.document(
        "Trade confirmation",
        f"{SIDES[Type(trade.type)]} {shares(trade.quantity)} of {trade.ticker} at {usd(trade.price)}",
        [
            pdf.Table(
                [[line.label, pdf.printable(line.text, customer.email)] for line in lines],
                [1, 2.6],
                2,
                head=False,
                bold=[number for number, line in enumerate(lines) if line.is_sum],
            )
        ],
        f"Order {trade.id} · all amounts in USD",
    )


def _fees(trade: Trade) -> list[Line]:
    fees = trade.fees or {}
    if not fees:
        return [Line("Fees", "None")]
    return [Line(str(FeeRate.Kind(kind).label), cents(fees[kind])) for kind in FeeRate.Kind.values if kind in fees]


def _eastern(at: datetime | None) -> str:
    return f"{market_time(at)} ET" if at else "—"


def _day(at: date | None) -> str:
    return day(at) if at else "—"
