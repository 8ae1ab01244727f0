"""The exchange's HTTP client: Execute, TradeExists, and what is listed at which price.

Every call is bounded in time, follows no redirect, and never repeats itself: who calls knows whether that is safe.
"""

from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import pybreaker
import urllib3
from django.conf import settings
from urllib3.util import Retry, Timeout

from exchange import wire
from exchange.messages import Malformed, Order, Refusal, Unknown

# Execute and TradeExists answer in milliseconds, once stored: longer means unknown, and the sweep asks.
TRADING_TIMEOUT = Timeout(connect=1.0, read=2.0)
# A page or an API call that shows a price can do without it.
QUOTES_TIMEOUT = Timeout(connect=0.5, read=1.0)
BODY_BYTES_MAX = 4_000_000

_http = urllib3.PoolManager(maxsize=16, retries=Retry(0, redirect=0, raise_on_redirect=False))
# While the exchange hangs, a turn must not wait for it again and again: the sweep's questions tell when it is back.
_execute_breaker = pybreaker.CircuitBreaker(fail_max=2, reset_timeout=2, name="execute")


class NotListed(Exception):
    """The exchange knows no stock by this ticker."""


def execute(orders: list[Order]) -> list[Refusal]:
    """Hand 1 to 100 orders to the exchange (Execute); what it refuses. Everything else it has stored.

    Again with the same orders: stored and executed once, for the trade's id is the exchange's idempotency key.
    Raises Unknown: any of them may have been stored, or not.
    """
    try:
        answer = _execute_breaker.call(
            _call, "POST", "/v1/trades", TRADING_TIMEOUT, wire.encode_orders(orders, settings.CALLBACK_URL)
        )
    except pybreaker.CircuitBreakerError:
        raise Unknown("not sent: the exchange has not answered lately") from None
    except NotListed:
        raise Unknown("Execute answered 404") from None
    sent = {order.trade_id for order in orders}
    try:
        results = {UUID(result["tradeId"]): result for result in answer["results"]}
        if any(result["status"] not in {"ACCEPTED", "REFUSED"} for result in results.values()):
            raise Malformed("a status is neither ACCEPTED nor REFUSED")
        return [
            Refusal(trade_id, str(result.get("code") or "")[:32])
            for trade_id, result in results.items()
            if result["status"] == "REFUSED" and trade_id in sent
        ]
    except (KeyError, TypeError, ValueError, AttributeError, Malformed) as error:
        raise Unknown(f"the answer to Execute makes no sense: {error}") from None


def ask(trade_id: UUID) -> dict[str, Any] | None:
    """The exchange's report on a trade as it stands (TradeExists), decoded but unchecked; None: it does not know it.

    Raises Unknown.
    """
    try:
        report = _call("GET", f"/v1/trades/{trade_id}", TRADING_TIMEOUT)
    except NotListed:
        return None
    if not isinstance(report, dict) or report.get("tradeId") != str(trade_id):
        raise Unknown("the answer to TradeExists is about something else")
    return report


def quote(ticker: str) -> dict[str, Any]:
    """The last price of a stock and its time. Raises NotListed, Unknown."""
    return _quote(_call("GET", f"/v1/quotes/{ticker}", QUOTES_TIMEOUT))


def quotes(tickers: list[str]) -> dict[str, dict[str, Any]]:
    """The last prices of up to 200 stocks by ticker; the unlisted are left out. Raises Unknown."""
    if not tickers:
        return {}
    answer = _call("GET", f"/v1/quotes?tickers={','.join(tickers)}", QUOTES_TIMEOUT)
    try:
        return {row["stockTicker"]: _quote(row) for row in answer["results"]}
    except (KeyError, TypeError) as error:
        raise Unknown(f"the answer makes no sense: {error!r}") from None


def tickers() -> list[dict[str, Any]]:
    """What is listed: `stockTicker`, `name` and more. Raises Unknown."""
    answer = _call("GET", "/v1/tickers", TRADING_TIMEOUT)
    try:
        return [row for row in answer["results"] if row["stockTicker"]]
    except (KeyError, TypeError) as error:
        raise Unknown(f"the answer makes no sense: {error!r}") from None


def clock() -> dict[str, Any]:
    """Market hours now: `at`, `isOpen`, `hours`, `nextOpen`, `nextClose`. Raises Unknown."""
    answer = _call("GET", "/v1/clock", QUOTES_TIMEOUT)
    if not isinstance(answer, dict) or not isinstance(answer.get("isOpen"), bool):
        raise Unknown("the answer makes no sense")
    return answer


def _quote(row: Any) -> dict[str, Any]:
    try:
        return row | {"price": Decimal(row["price"]), "at": datetime.fromisoformat(row["at"])}
    except (KeyError, TypeError, ValueError, ArithmeticError) as error:
        raise Unknown(f"the answer makes no sense: {error!r}") from None


def _call(method: str, path: str, timeout: Timeout, body: bytes | None = None) -> Any:
    """The decoded answer of 200 or 202. Raises NotListed (404), Unknown (all else: it may have happened, or not)."""
    try:
        answer = _http.request(
            method,
            settings.EXCHANGE_URL + path,
            body=body,
            headers={"Content-Type": "application/json"},
            timeout=timeout,
            preload_content=False,
        )
        content = answer.read(BODY_BYTES_MAX + 1)
        if len(content) > BODY_BYTES_MAX:
            answer.close()  # what is left unread must not be taken for the next answer
        answer.release_conn()
    except urllib3.exceptions.HTTPError as error:
        raise Unknown(f"{type(error).__name__}: {error}") from None
    if answer.status == 404:
        raise NotListed(path)
    if answer.status not in (200, 202) or len(content) > BODY_BYTES_MAX:
        raise Unknown(f"{method} {path} answered {answer.status} with {len(content)} bytes")
    try:
        return wire.decode(content)
    except Malformed as error:
        raise Unknown(str(error)) from None
