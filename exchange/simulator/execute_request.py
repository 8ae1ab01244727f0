"""Parse and validate the body of Execute."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any, NamedTuple, TypeGuard
from urllib.parse import urlsplit

from exchange.simulator.errors import Invalid, error
from exchange.simulator.formats import parse_money, parse_time

TRADES_MAX = 100
QUANTITY_MAX = 1_000_000_000
CALLBACK_URL_LENGTH_MAX = 2048

ID = re.compile(r"[A-Za-z0-9._:-]{1,128}", re.ASCII)
TICKER = re.compile(r"[A-Za-z0-9.-]{1,16}", re.ASCII)


class Terms(NamedTuple):
    """The terms of one trade. The same id with equal terms is the same trade."""

    trade_id: str
    ticker: str
    type: str
    quantity: int
    # The highest total cost of a BUY, in units of 1/10,000 USD. A string, because it may exceed SQLite's integers.
    max_price: str | None
    # From this time on, the trade must not execute.
    expires_at: int | None


class Malformed(NamedTuple):
    """A trade whose terms are not valid, and the reason."""

    trade_id: str
    reason: str


class ExecuteRequest(NamedTuple):
    """A valid body of Execute."""

    callback_url: str
    trades: list[Terms | Malformed]


def read_execute(body: Any) -> ExecuteRequest:
    """Parse the body of Execute. A trade with an id but without valid terms becomes Malformed, and only it is refused.

    Raises:
        Invalid: There is no callback URL or no list of trades, or a trade has no id.
    """
    if not isinstance(body, dict):
        raise Invalid([error("", "must be a JSON object with callbackUrl and trades")])
    errors: list[dict[str, str]] = []
    url = body.get("callbackUrl")
    if not _is_callback_url(url):
        length = f"of at most {CALLBACK_URL_LENGTH_MAX} characters"
        detail = f"must be an http or https URL {length}, without user or fragment"
        errors.append(error("callbackUrl", detail))
    trades = body.get("trades")
    if not isinstance(trades, list) or not 1 <= len(trades) <= TRADES_MAX:
        raise Invalid([*errors, error("trades", f"must be a list of 1 to {TRADES_MAX} trades")])
    parsed: list[Terms | Malformed] = []
    for position, trade in enumerate(trades):
        trade_id = trade.get("tradeId") if isinstance(trade, dict) else None
        if not isinstance(trade_id, str) or not ID.fullmatch(trade_id):
            errors.append(
                error(f"trades[{position}].tradeId", "must be 1 to 128 of the characters A-Z a-z 0-9 . _ : -")
            )
        else:
            parsed.append(_read_terms(trade_id, trade))
    if errors:
        raise Invalid(errors)
    return ExecuteRequest(str(url), parsed)


def _read_terms(trade_id: str, trade: dict[str, Any]) -> Terms | Malformed:
    ticker, type_, quantity = trade.get("stockTicker"), trade.get("type"), trade.get("quantity")
    max_price, expires_at = trade.get("maxPrice"), trade.get("expiresAt")
    field = "stockTicker"
    try:
        if not isinstance(ticker, str) or not TICKER.fullmatch(ticker):
            raise ValueError("must be 1 to 16 of the characters A-Z a-z 0-9 . -")
        field = "type"
        if type_ not in ("BUY", "SELL"):
            raise ValueError("must be BUY or SELL")
        field = "quantity"
        if isinstance(quantity, bool) or not isinstance(quantity, int) or not 1 <= quantity <= QUANTITY_MAX:
            raise ValueError(f"must be a whole number from 1 to {QUANTITY_MAX}")
        field = "maxPrice"
        if max_price is not None:
            max_price = str(parse_money(max_price))
        elif type_ == "BUY":
            raise ValueError("is required for a BUY")
        field = "expiresAt"
        if expires_at is not None:
            expires_at = parse_time(expires_at)
    except ValueError as problem:
        return Malformed(trade_id, f"{field} {problem}")
    return Terms(trade_id, ticker, type_, quantity, max_price, expires_at)


@lru_cache(maxsize=128)
def _is_url(url: str) -> bool:
    try:
        parts = urlsplit(url)
        is_http = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False
    return is_http and "@" not in parts.netloc and not parts.fragment


def _is_callback_url(url: object) -> TypeGuard[str]:
    if not isinstance(url, str) or len(url) > CALLBACK_URL_LENGTH_MAX:
        return False
    return url.isascii() and url.isprintable() and " " not in url and _is_url(url)
