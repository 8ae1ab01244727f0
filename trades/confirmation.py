"""The confirmation of a trade as PDF."""

from collections.abc import Sequence

from trades.models import Status, StatusChange, Trade
from web import pdf
from web.templatetags.figures import usd
from web.timezones import EASTERN

DONE = {"BUY": "Bought", "SELL": "Sold"}


def confirmation_of(trade: Trade, moves: Sequence[StatusChange], company: str) -> bytes:
    """Return the confirmation of a FILLED trade as PDF. Repeated calls return the same bytes."""
    if trade.status != Status.FILLED:
        raise ValueError(f"{trade.id} is {trade.status}")
    rows = [
        ["Trade", str(trade.id)],
        ["Account", str(trade.customer_id)],
        ["What", f"{DONE[trade.type]} {trade.quantity:,} shares of {company} ({trade.ticker}), a market order"],
        ["Price a share", usd(trade.price)],
        ["Amount", usd(trade.amount)],
    ]
    times = [[move.to_status, f"{move.at.astimezone(EASTERN):%b %d, %Y %H:%M:%S.%f}"] for move in moves]
    return pdf.document(
        "Trade confirmation",
        f"{DONE[trade.type]} {trade.quantity:,} {trade.ticker} at {usd(trade.price)}",
        [
            pdf.Table(rows, [1, 3], 2, head=False),
            pdf.Gap(18),
            pdf.heading("When"),
            pdf.Gap(4),
            pdf.Table([["Step", "Time (Eastern)"], *times], [1, 3], 2),
        ],
        f"Trade {trade.id} · all amounts in USD",
        whose=trade.customer_id,
    )
