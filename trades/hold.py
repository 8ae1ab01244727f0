"""Hold: set aside what the trade in flight may need: the shares of a SELL, or the cost of a BUY within its collar."""

from decimal import Decimal

from django.conf import settings

from accounts.account import Account
from exchange.prices import LastPrices
from trades.models import Reason, Trade, Type
from web.timezones import eastern_today


def set_hold(trade: Trade, available: Decimal, last_price: Decimal | None) -> None:
    """Set the hold of a BUY: its cost at the collar above the last price, or all available cash if that is less.

    If no price is known, it holds all available cash.
    """
    trade.last_price = last_price
    trade.collar = None if last_price is None else settings.BUY_COLLAR
    price = trade.collar_price
    trade.max_price = available if price is None else min(available, price * trade.quantity)


def hold(account: Account, trade: Trade) -> None:
    """Set aside what a trade may need: the shares of a SELL, or the `max_price` of a BUY.

    This also fixes the lot method of a SELL: it stays the one that the account has now.

    Raises:
        InsufficientFunds: That much cash is not available.
        InsufficientShares: That many shares are not available.
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


def reason_too_expensive(account: Account, trade: Trade, last_prices: LastPrices) -> Reason:
    """Return why a BUY was rejected as too expensive for its hold: its collar, unsettled cash, or too little cash.

    Call it after the hold was released. The exchange does not say what the BUY would have cost, so the last known price
    is the best evidence.
    """
    price = last_prices.price(trade.ticker) or Decimal(0)
    if price * trade.quantity > account.available:
        return Reason.INSUFFICIENT_FUNDS
    if trade.is_held_by_collar:
        return Reason.PRICE_MOVED
    is_restricted = trade.hold < account.available and account.buys_with_settled_cash_only(eastern_today())
    return Reason.UNSETTLED_FUNDS if is_restricted else Reason.INSUFFICIENT_FUNDS
