"""The exchange's HTTP client: Execute, TradeExists, and what is listed at which price.

Every call is bounded in time, follows no redirect, and never repeats itself: who calls knows whether that is safe.
"""

import time
from datetime import date, datetime
from typing import Any
from urllib.parse import quote as in_path
from urllib.parse import urlencode
from uuid import UUID

import pybreaker
import urllib3
from django.conf import settings
from urllib3.util import Retry, Timeout

from exchange import wire
from exchange.messages import Malformed, Order, Refusal, Unknown, parse_amount

# Execute and TradeExists answer in milliseconds, once stored: longer means unknown, and the sweep asks.
TRADING_TIMEOUT = Timeout(connect=1.0, read=2.0)
# A page or an API call that shows a price can do without it.
QUOTES_TIMEOUT = Timeout(connect=0.5, read=1.0)
BODY_BYTES_MAX = 4_000_000
BODY_SECONDS_MAX = 2.0  # from the first byte to the last; the time-outs above are for the wait between two
TICKERS_A_CALL_MAX = 200

_http = urllib3.PoolManager(maxsize=16, retries=Retry(0, redirect=0, raise_on_redirect=False))
# While the exchange hangs, a turn must not wait for it again and again: the sweep's questions tell when it is back.
_execute_breaker = pybreaker.CircuitBreaker(fail_max=2, reset_timeout=2, name="execute", throw_new_error_on_trip=False)


class NotListed(Exception):
    """The exchange knows no stock by this ticker."""


class _NotFound(Unknown):
    """404. Whether it is the exchange's word on something depends on what was asked."""


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
    except _NotFound:
        return None
    if not isinstance(report, dict) or report.get("tradeId") != str(trade_id):
        raise Unknown("the answer to TradeExists is about something else")
    return report


def history(after: int, limit: int = 1000) -> tuple[list[dict[str, Any]], int | None]:
    """A page of the exchange's own record, in its order of arrival, and where the next begins; None: there is none yet.

    Each row is a report with `sequence` and `receivedAt`, unchecked. Raises Unknown.
    """
    answer = _call("GET", f"/v1/trades?after={after}&limit={limit}", TRADING_TIMEOUT)
    try:
        rows, following = answer["results"], answer["next"]
        if not isinstance(rows, list) or not (following is None or (type(following) is int and following > after)):
            raise Malformed("results or next")
        return rows, following
    except (KeyError, TypeError, Malformed) as error:
        raise Unknown(f"the answer makes no sense: {error!r}") from None


def quote(ticker: str) -> dict[str, Any]:
    """The last price of a stock and its time. Raises NotListed, Unknown."""
    try:
        return _quote(_call("GET", f"/v1/quotes/{in_path(ticker, safe='')}", QUOTES_TIMEOUT))
    except _NotFound:
        raise NotListed(ticker) from None


def quotes(tickers: list[str]) -> dict[str, dict[str, Any]]:
    """The last prices of stocks by ticker; the unlisted are left out. Raises Unknown."""
    found: dict[str, dict[str, Any]] = {}
    for start in range(0, len(tickers), TICKERS_A_CALL_MAX):
        asked = ",".join(in_path(ticker, safe="") for ticker in tickers[start : start + TICKERS_A_CALL_MAX])
        answer = _call("GET", f"/v1/quotes?tickers={asked}", QUOTES_TIMEOUT)
        try:
            found |= {row["stockTicker"]: _quote(row) for row in answer["results"]}
        except (KeyError, TypeError) as error:
            raise Unknown(f"the answer makes no sense: {error!r}") from None
    return found


def tickers() -> list[dict[str, Any]]:
    """What is listed: `stockTicker`, `name` and more. Raises Unknown."""
    answer = _call("GET", "/v1/tickers", TRADING_TIMEOUT)
    try:
        if not all(isinstance(row["stockTicker"], str) for row in answer["results"]):
            raise Malformed("a ticker is no text")
        return list(answer["results"])
    except (KeyError, TypeError, Malformed) as error:
        raise Unknown(f"the answer makes no sense: {error!r}") from None


def clock() -> dict[str, Any]:
    """Market hours now: `isOpen`, `hours`, and the times `nextOpen` and `nextClose`, or None. Raises Unknown."""
    answer = _call("GET", "/v1/clock", QUOTES_TIMEOUT)
    try:
        if not (isinstance(answer["isOpen"], bool) and isinstance(answer["hours"], str)):
            raise Malformed("isOpen or hours")
        moments = {name: answer[name] and _moment(answer[name]) for name in ("nextOpen", "nextClose")}
    except (KeyError, TypeError, ValueError, Malformed) as error:
        raise Unknown(f"the answer makes no sense: {error!r}") from None
    return answer | moments


def bars(ticker: str, start: datetime, end: datetime, step_seconds: int) -> list[dict[str, Any]]:
    """Prices of a stock from start to end, 1,000 bars at most: `at`, `open`, `high`, `low`, `close`, in order of time.

    Bars begin at whole multiples of the step; periods in which the market is closed have none, nor has the future.
    Raises NotListed, Unknown.
    """
    query = urlencode({"start": start.isoformat(), "end": end.isoformat(), "step": step_seconds})
    try:
        answer = _call("GET", f"/v1/bars/{in_path(ticker, safe='')}?{query}", QUOTES_TIMEOUT)
    except _NotFound:
        raise NotListed(ticker) from None
    try:
        return [
            {"at": _moment(row["at"])} | {name: parse_amount(row[name]) for name in ("open", "high", "low", "close")}
            for row in answer["results"]
        ]
    except (KeyError, TypeError, ValueError, ArithmeticError, Malformed) as error:
        raise Unknown(f"the answer makes no sense: {error!r}") from None


def calendar(start: date, end: date) -> list[dict[str, Any]]:
    """The trading days from start to end, both included: `date`, `opensAt`, `closesAt`, `halfDay`. Raises Unknown."""
    query = urlencode({"start": start.isoformat(), "end": end.isoformat()})
    answer = _call("GET", f"/v1/calendar?{query}", TRADING_TIMEOUT)
    try:
        return [
            {
                "date": date.fromisoformat(row["date"]),
                "opensAt": _moment(row["opensAt"]),
                "closesAt": _moment(row["closesAt"]),
                "halfDay": bool(row["halfDay"]),
            }
            for row in answer["results"]
        ]
    except (KeyError, TypeError, ValueError) as error:
        raise Unknown(f"the answer makes no sense: {error!r}") from None


def _quote(row: Any) -> dict[str, Any]:
    try:
        if not isinstance(row["stockTicker"], str):
            raise Malformed("stockTicker")
        return row | {"price": parse_amount(row["price"]), "at": _moment(row["at"])}
    except (KeyError, TypeError, ValueError, ArithmeticError, Malformed) as error:
        raise Unknown(f"the answer makes no sense: {error!r}") from None


def _moment(text: Any) -> datetime:
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"{text} has no time zone")
    return moment


def _call(method: str, path: str, timeout: Timeout, body: bytes | None = None) -> Any:
    """The decoded answer of 200 or 202. Raises Unknown (it may have happened, or not), of which _NotFound is one."""
    try:
        answer = _http.request(
            method,
            settings.EXCHANGE_URL + path,
            body=body,
            headers={"Content-Type": "application/json"},
            timeout=timeout,
            preload_content=False,
        )
        content = _read(answer)
    except urllib3.exceptions.HTTPError as error:
        raise Unknown(f"{type(error).__name__}: {error}") from None
    if answer.status == 404:
        raise _NotFound(f"{method} {path} answered 404")
    if answer.status not in (200, 202):
        raise Unknown(f"{method} {path} answered {answer.status} with {len(content)} bytes")
    try:
        return wire.decode(content)
    except Malformed as error:
        raise Unknown(str(error)) from None


def _read(answer: urllib3.BaseHTTPResponse) -> bytes:
    """The body, if it is not too long and does not take too long; then the connection serves the next call."""
    content = b""
    deadline = time.monotonic() + BODY_SECONDS_MAX
    while piece := answer.read1(BODY_BYTES_MAX):
        content += piece
        if len(content) > BODY_BYTES_MAX or time.monotonic() > deadline:
            answer.close()  # what is left unread must not be taken for the next answer
            raise Unknown(f"the answer is too long or too slow: {len(content)} bytes so far")
    answer.release_conn()
    return content
