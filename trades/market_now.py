"""The market as a turn sees it: read before its transaction, so that nothing in it waits for anybody."""

from dataclasses import dataclass
from datetime import datetime

from exchange import gateway, market, prices
from exchange.prices import LastPrices


@dataclass(frozen=True, slots=True)
class MarketNow:
    """The time by the exchange's clock (None: it has never told it), whether it is open, and the last prices."""

    at: datetime | None
    is_open: bool
    last_prices: LastPrices


def market_now() -> MarketNow:
    """Return the market as this process knows it now."""
    return MarketNow(gateway.exchange_now(), market.is_open(), prices.last_prices())
