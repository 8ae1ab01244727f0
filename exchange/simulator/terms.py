"""What a broker may ask: the body of Execute, checked field by field."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any, NamedTuple, TypeGuard
from urllib.parse import urlsplit

from exchange.simulator.notation import parse_moment, parse_money

TRADES_MAX = 100
QUANTITY_MAX = 1_000_000_000
CALLBACK_URL_LENGTH_MAX = 2048

_TRADE_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}", re.ASCII)
_TICKER = re.compile(r"[A-Za-z0-9.-]{1,16}", re.ASCII)


class Invalid(ValueError):
    """A request that can't be understood. `errors` says what is wrong with which field; nothing was stored."""

    def __init__(self, errors: list[dict[str, str]]) -> None:
        super().__init__(errors)
        self.errors = errors


class Terms(NamedTuple):
    """What one trade asks for; two are the same trade when all of it is equal."""

    trade_id: str
    ticker: str
    type: str
    quantity: int
    #: Cap on the whole cost of a BUY in units of 1/10,000 USD, as text: it may be greater than SQLite's integers.
    max_price: str | None
    #: The moment from which on the trade must not execute.
    expires_at: int | None


class Malformed(NamedTuple):
    """One trade of a set whose terms are not valid, with words for why."""

    trade_id: str
    reason: str


class Request(NamedTuple):
    """The body of Execute."""

    callback_url: str
    trades: list[Terms | Malformed]


def error(field: str, detail: str, code: str = "invalid") -> dict[str, str]:
    """One entry of an answer's `errors`."""
    return {"field": field, "code": code, "detail": detail}


def read_request(body: Any) -> Request:
    """Check the body of Execute. A trade with an id but without valid terms is Malformed, and concerns only itself.

    Raises Invalid where there is nobody to answer: no callback address, no list of trades, a trade without an id.
    """
    if not isinstance(body, dict):
        raise Invalid([error("", "must be a JSON object with callbackUrl and trades")])
    errors: list[dict[str, str]] = []
    url = body.get("callbackUrl")
    if not _is_callback_url(url):
        words = f"must be an http or https URL of at most {CALLBACK_URL_LENGTH_MAX} characters without user or fragment"
        errors.append(error("callbackUrl", words))
    trades = body.get("trades")
    if not isinstance(trades, list) or not 1 <= len(trades) <= TRADES_MAX:
        raise Invalid([*errors, error("trades", f"must be a list of 1 to {TRADES_MAX} trades")])
    found: list[Terms | Malformed] = []
    for n, trade in enumerate(trades):
        trade_id = trade.get("tradeId") if isinstance(trade, dict) else None
        if not isinstance(trade_id, str) or not _TRADE_ID.fullmatch(trade_id):
            errors.append(error(f"trades[{n}].tradeId", "must be 1 to 128 of the characters A-Z a-z 0-9 . _ : -"))
        else:
            found.append(_read_terms(trade_id, trade))
    if errors:
        raise Invalid(errors)
    return Request(str(url), found)


def _read_terms(trade_id: str, trade: dict[str, Any]) -> Terms | Malformed:
    ticker, type_, quantity = trade.get("stockTicker"), trade.get("type"), trade.get("quantity")
    max_price, expires_at = trade.get("maxPrice"), trade.get("expiresAt")
    field = "stockTicker"
    try:
        if not isinstance(ticker, str) or not _TICKER.fullmatch(ticker):
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
            expires_at = parse_moment(expires_at)
    except ValueError as wrong:
        return Malformed(trade_id, f"{field} {wrong}")
    return Terms(trade_id, ticker, type_, quantity, max_price, expires_at)


@lru_cache(maxsize=128)
def _is_url(url: str) -> bool:
    try:
        parts = urlsplit(url)
        known = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False
    return known and "@" not in parts.netloc and not parts.fragment


def _is_callback_url(url: object) -> TypeGuard[str]:
    if not isinstance(url, str) or len(url) > CALLBACK_URL_LENGTH_MAX:
        return False
    return url.isascii() and url.isprintable() and " " not in url and _is_url(url)
