"""Hold: what is set aside for the trade in flight. Shares for a SELL; for a BUY its cost within the collar."""

from decimal import Decimal

from django.conf import settings

from accounts.account import Account
from exchange.prices import LastPrices
from trades.models import Trade, Type


def set_hold(trade: Trade, available: Decimal, last_price: Decimal | None) -> None:
    """Set what a BUY holds: its cost at the last price and a collar above it, or all available cash if that is less.

    Where no price is known, it holds all available cash.
    """
    trade.last_price = last_price
    trade.collar = None if last_price is None else settings.BUY_COLLAR
    price = trade.collar_price
    trade.max_price = available if price is None else min(available, price * trade.quantity)


def hold(account: Account, trade: Trade) -> None:
    """Set aside what a trade may need: the shares of a SELL, or the `max_price` of a BUY.

    A SELL keeps the account's method of closing lots from then on.

    Raises:
        InsufficientFunds: There is no such cash available.
        InsufficientShares: There are not as many shares available.
    """
    if trade.type == Type.BUY:
        account.hold_cash(trade.hold)
    else:
        account.hold_shares(trade.ticker, trade.quantity)
        trade.lot_method = account.lot_method


def release(account: Account, trade: Trade) -> None:
    """Undo `hold`."""
    if trade.type == Type.BUY:
        account.release_cash(trade.hold)
    else:
        account.release_shares(trade.ticker, trade.quantity)


def is_over_collar_only(account: Account, trade: Trade, last_prices: LastPrices) -> bool:
    """Return whether a BUY that cost more than its hold could have been paid for, had there been no collar.

    The exchange does not say what it would have cost; the last price that is known by now is the best evidence.
    """
    price = last_prices.price(trade.ticker) or Decimal(0)
    return trade.is_held_by_collar and price * trade.quantity <= account.available
