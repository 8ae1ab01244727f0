"""The market as a turn sees it. It is read before the turn's transaction, which must not wait for anything else."""

from dataclasses import dataclass
from datetime import datetime

from exchange import gateway, market, prices
from exchange.prices import LastPrices


@dataclass(frozen=True, slots=True)
class MarketNow:
    """The exchange's time (None if it is not known yet), whether the market is open, and the last prices."""

    at: datetime | None
    is_open: bool
    last_prices: LastPrices


def market_now() -> MarketNow:
    """Return the market as this process knows it now."""
    return MarketNow(gateway.exchange_now(), market.is_open(), prices.last_prices())
