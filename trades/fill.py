"""Fill: post the cash, shares, lots, and fees of an executed trade, with their settlement date."""

from decimal import Decimal

from django.utils import timezone

from accounts.account import Account
from accounts.models import LotMethod
from accounts.settlement import Dates
from exchange import calendar
from exchange.messages import Fill
from trades.fees import fees_of
from trades.models import Status, Trade, Type
from trades.transitions import Ending


def post_fill(account: Account, trade: Trade, fill: Fill, reason: str) -> Ending:
    """Post a fill to an account in the open books, and return the ending of its trade.

    Raises:
        AccountFull: The account can't hold that much; nothing was posted.
    """
    executed_at = fill.at or timezone.now()
    traded_on = calendar.eastern_date(executed_at)
    dates = Dates(traded_on, calendar.settlement_date(traded_on))
    is_sale = trade.type == Type.SELL
    fees_max = fill.amount if is_sale else account.available - fill.amount
    fees = fees_of(trade.type, trade.quantity, fill.amount, traded_on, fees_max)
    terms = (trade.id, trade.ticker, trade.quantity, fill.price, fill.amount, dates, sum(fees.values(), Decimal(0)))
    if is_sale:
        account.sell(*terms, trade.lot_method or LotMethod.FIFO)
    else:
        account.buy(*terms)
    return Ending(
        trade,
        Status.FILLED,
        price=fill.price,
        amount=fill.amount,
        fees={kind: f"{fee:.4f}" for kind, fee in fees.items()},
        executed_at=executed_at,
        settles_on=dates.settles_on,
        reason=reason,
    )
