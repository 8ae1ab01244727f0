"""The exchange's HTTP client: Execute, TradeExists, and what is listed at which price.

Every call ends by a deadline, follows no redirect and never repeats itself: the caller knows whether that is safe.

Only an answer in the protocol's own form, about what was asked, is the exchange's word. A page of a proxy in between, a
404 that does not name the trade, a list with a trade that was not sent: each of them is "unknown", as no answer is.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any, TypeVar
from urllib.parse import quote as percent_encode
from urllib.parse import urlencode
from uuid import UUID, uuid4

import pybreaker
import structlog
from django.conf import settings

from exchange import exchange_time, wire
from exchange.messages import Malformed, Order, Refusal, Report, Unknown, parse_amount, storable
from web.backoff import Backoff
from web.http import Client, NoAnswer

# For the whole of a call. Execute and TradeExists answer in milliseconds, once stored: longer means unknown, and the
# sweep asks.
TRADING_SECONDS_MAX = 3.0
# A page or an API call that shows a price can do without it.
QUOTES_SECONDS_MAX = 1.5
BODY_BYTES_MAX = 4_000_000
TICKERS_A_CALL_MAX = 200
BARS_A_CALL_MAX = 20_000
TIME_AGE_SECONDS_MAX = 60.0  # how long the exchange's clock is followed without hearing from it

Parsed = TypeVar("Parsed")


class NotListed(Exception):
    """The exchange knows no stock by this ticker."""


class Failed(Unknown):
    """The exchange is there and answered, but not with what was asked for."""


class _NotFound(Failed):
    """The exchange's own 404. `body` says about what."""

    def __init__(self, body: Any, at: datetime) -> None:
        super().__init__(f"the answer is 404: {body!r}"[:200])
        self.body, self.at = body, at

    def is_about(self, code: str, **names: str) -> bool:
        """Return whether the exchange says this of what has these names."""
        return isinstance(self.body, dict) and {"code": code, **names}.items() <= self.body.items()


_http = Client()
# While the exchange hangs, a turn must not wait for it again and again: the sweep's questions tell when it is back.
# An exchange that answers, be it with an error, makes nobody wait.
execute_breaker = pybreaker.CircuitBreaker(
    fail_max=2, reset_timeout=2, name="execute", throw_new_error_on_trip=False, exclude=[Failed]
)
_clock_backoff = Backoff(2.0)


@dataclass(frozen=True, slots=True)
class _Answer:
    """A decoded answer, and the time at which the exchange gave it, by its own clock."""

    value: Any
    at: datetime


def execute(orders: list[Order], *, is_probe: bool = False) -> list[Refusal]:
    """Hand 1 to 100 orders to the exchange (Execute) and return what it refuses. All others, it has stored.

    Idempotent: the exchange stores and executes an order once, for the trade's id is its idempotency key.

    Args:
        orders: 1 to 100.
        is_probe: Send them although the exchange has not answered lately, because the caller has just heard from it.

    Raises:
        Unknown: Any of the orders may have been stored, or not.
    """
    body = wire.encode_orders(orders, settings.CALLBACK_URL)
    try:
        if is_probe:
            answer = _call("POST", "/v1/trades", TRADING_SECONDS_MAX, body)
        else:
            answer = execute_breaker.call(_call, "POST", "/v1/trades", TRADING_SECONDS_MAX, body)
    except pybreaker.CircuitBreakerError:
        raise Unknown("not sent: the exchange has not answered lately") from None
    return _parse(answer.value, lambda value: _refusals(value["results"], orders))


def _refusals(results: Any, orders: list[Order]) -> list[Refusal]:
    by_id = {str(order.trade_id): order.trade_id for order in orders}
    if sorted(result["tradeId"] for result in results) != sorted(by_id):
        raise Malformed("the results are not those of the trades that were sent")
    if not {result["status"] for result in results} <= {"ACCEPTED", "REFUSED"}:
        raise Malformed("a status is neither ACCEPTED nor REFUSED")
    return [
        Refusal(by_id[result["tradeId"]], str(result.get("code") or "")[:32])
        for result in results
        if result["status"] == "REFUSED"
    ]


def ask(trade_id: UUID) -> dict[str, Any] | None:
    """Return the exchange's report on a trade as it stands (TradeExists); None: it does not know the trade.

    The report is decoded, and in the protocol's form; whether it keeps to the trade's terms is not checked.

    Raises:
        Unknown: No answer that can be trusted.
    """
    return ask_with_time(trade_id)[0]


def ask_with_time(trade_id: UUID) -> tuple[dict[str, Any] | None, datetime]:
    """Return what `ask` does, and as of when, by the exchange's own clock.

    With None, the trade had not arrived by then. So a trade that is not known at a time after its `expires_at` never
    will be: it is that clock by which the exchange refuses what has expired.
    """
    try:
        answer = _call("GET", f"/v1/trades/{trade_id}", TRADING_SECONDS_MAX)
    except _NotFound as found:
        if found.is_about("not_found", tradeId=str(trade_id)):
            return None, found.at
        raise
    report = _parse(answer.value, _report)
    if report["tradeId"] != str(trade_id):
        raise Unknown("the answer to TradeExists is about another trade")
    return report, answer.at


def _report(value: Any) -> dict[str, Any]:
    Report.parse(value)
    return dict(value)


def history(after: int, limit: int = 1000) -> tuple[list[dict[str, Any]], int | None]:
    """Return a page of the exchange's own record, in its order of arrival, and where the next begins; None: nowhere.

    Each row is a report with `sequence` and `receivedAt`, unchecked.

    Raises:
        Unknown: No answer that can be trusted.
    """
    answer = _call("GET", f"/v1/trades?after={after}&limit={limit}", TRADING_SECONDS_MAX)

    def page(value: Any) -> tuple[list[dict[str, Any]], int | None]:
        rows, following = value["results"], value["next"]
        if not isinstance(rows, list) or not (following is None or (type(following) is int and following > after)):
            raise Malformed("results or next")
        return rows, following

    return _parse(answer.value, page)


def quote(ticker: str) -> dict[str, Any]:
    """Return the last price of a stock and its time.

    Raises:
        NotListed: The exchange does not list it.
        Unknown: No answer that can be trusted.
    """
    answer = _about_stock(f"/v1/quotes/{_in_path(ticker)}", ticker)
    return _parse(answer.value, lambda value: _quote(value, {ticker}))


def quotes(tickers: list[str]) -> dict[str, dict[str, Any]]:
    """Return the last prices of stocks by ticker, without those that are not listed.

    Raises:
        Unknown: No answer that can be trusted.
    """
    found: dict[str, dict[str, Any]] = {}
    for start in range(0, len(tickers), TICKERS_A_CALL_MAX):
        asked = set(tickers[start : start + TICKERS_A_CALL_MAX])
        path = "/v1/quotes?tickers=" + ",".join(percent_encode(ticker, safe="") for ticker in sorted(asked))
        answer = _call("GET", path, QUOTES_SECONDS_MAX)
        rows = _parse(answer.value, lambda value, asked=asked: [_quote(row, asked) for row in value["results"]])  # type: ignore[misc]
        found |= {row["stockTicker"]: row for row in rows}
    return found


def _quote(row: dict[str, Any], asked: set[str]) -> dict[str, Any]:
    if row["stockTicker"] not in asked:
        raise Malformed("a quote is of a stock that was not asked for")
    return row | {"price": parse_amount(row["price"]), "at": _moment(row["at"])}


def tickers() -> list[dict[str, Any]]:
    """Return what is listed: `stockTicker`, `name` and more.

    Raises:
        Unknown: No answer that can be trusted.
    """

    def listed(value: Any) -> list[dict[str, Any]]:
        if not all(isinstance(row["stockTicker"], str) for row in value["results"]):
            raise Malformed("a ticker is no text")
        return list(value["results"])

    return _parse(_call("GET", "/v1/tickers", TRADING_SECONDS_MAX).value, listed)


def closures() -> list[dict[str, Any]]:
    """Return the days announced at short notice on which the market stays closed, or closes early.

    Returns:
        For each: `date`, `close` (the early close, Eastern; None where it stays closed all day) and `reason`.

    Raises:
        Unknown: No answer that can be trusted.
    """

    def announced(value: Any) -> list[dict[str, Any]]:
        return [
            {
                "date": date.fromisoformat(row["date"]),
                "close": None if row["close"] is None else time.fromisoformat(row["close"]),
                "reason": storable(row.get("reason") or "", 200),
            }
            for row in value["closures"]
        ]

    return _parse(_call("GET", "/v1/closures", QUOTES_SECONDS_MAX).value, announced)


def corporate_actions(after: int) -> list[dict[str, Any]]:
    """Return what the exchange has announced after this number of its sequence, in order, unchecked.

    Raises:
        Unknown: No answer that can be trusted.
    """

    def announced(value: Any) -> list[dict[str, Any]]:
        rows = list(value["results"])
        if not all(type(row["sequence"]) is int and row["sequence"] > after for row in rows):
            raise Malformed("a sequence is no number, or not after the last")
        return rows

    return _parse(_call("GET", f"/v1/corporate-actions?after={after}&limit=100", TRADING_SECONDS_MAX).value, announced)


def clock() -> dict[str, Any]:
    """Return market hours now: `isOpen`, `hours`, and the times `nextOpen` and `nextClose`, or None.

    Raises:
        Unknown: No answer that can be trusted.
    """

    def hours(value: Any) -> dict[str, Any]:
        if not (isinstance(value["isOpen"], bool) and isinstance(value["hours"], str)):
            raise Malformed("isOpen or hours")
        moments = {name: value[name] and _moment(value[name]) for name in ("nextOpen", "nextClose")}
        return dict(value) | moments

    return _parse(_call("GET", "/v1/clock", QUOTES_SECONDS_MAX).value, hours)


def bars(ticker: str, start: datetime, end: datetime, step_seconds: int) -> list[dict[str, Any]]:
    """Return prices of a stock from start to end, 1,000 bars at most: `at`, `open`, `high`, `low`, `close`, by time.

    Bars begin at whole multiples of the step. There are none for periods in which the market is closed, nor for the
    future.

    Raises:
        NotListed: The exchange does not list it.
        Unknown: No answer that can be trusted.
    """
    query = urlencode({"start": start.isoformat(), "end": end.isoformat(), "step": step_seconds})
    answer = _about_stock(f"/v1/bars/{_in_path(ticker)}?{query}", ticker)

    def rows(value: Any) -> list[dict[str, Any]]:
        if (value["stockTicker"], value["step"]) != (ticker, step_seconds):
            raise Malformed("the bars are not those that were asked for")
        return [{"at": _moment(row["at"])} | _prices(row) for row in value["results"]]

    return _parse(answer.value, rows)


@dataclass(frozen=True, slots=True)
class FirstAndLast:
    """The first and the last price of a period that begins at `at`."""

    at: datetime
    open: Decimal
    close: Decimal


def bars_of_many(
    tickers: list[str], start: datetime, end: datetime, step_seconds: int
) -> dict[str, list[FirstAndLast]]:
    """Return prices of stocks from start to end by ticker, by time, without stocks that are not listed.

    Bars begin at whole multiples of the step. There are none for periods in which the market is closed, nor for the
    future. One call has BARS_A_CALL_MAX bars at most.

    Raises:
        Unknown: No answer that can be trusted.
    """
    steps = (end - start).total_seconds() // step_seconds + 1
    size = min(TICKERS_A_CALL_MAX, max(1, int(BARS_A_CALL_MAX // steps)))
    asked_for = {"start": start.isoformat(), "end": end.isoformat(), "step": step_seconds, "fields": "open,close"}
    period = urlencode(asked_for)
    found: dict[str, list[FirstAndLast]] = {}
    for number in range(0, len(tickers), size):
        asked = set(tickers[number : number + size])
        names = ",".join(percent_encode(ticker, safe="") for ticker in sorted(asked))

        def rows(value: Any, asked: set[str] = asked) -> dict[str, list[FirstAndLast]]:
            if value["step"] != step_seconds or not {row["stockTicker"] for row in value["results"]} <= asked:
                raise Malformed("the bars are not those that were asked for")
            return {row["stockTicker"]: [_first_and_last(bar) for bar in row["bars"]] for row in value["results"]}

        answer = _call("GET", f"/v1/bars?tickers={names}&{period}", QUOTES_SECONDS_MAX)
        found |= _parse(answer.value, rows)
    return found


def _first_and_last(row: Any) -> FirstAndLast:
    return FirstAndLast(_moment(row["at"]), parse_amount(row["open"]), parse_amount(row["close"]))


def _prices(row: Any) -> dict[str, Decimal]:
    return {name: parse_amount(row[name]) for name in ("open", "high", "low", "close")}


def exchange_now() -> datetime | None:
    """Return the exchange's time, asking for it where it has not told it lately; None: it has never told it."""
    if exchange_time.age_seconds() > TIME_AGE_SECONDS_MAX and not _clock_backoff.is_active:
        try:
            clock()
        except Unknown:
            _clock_backoff.start()
    return exchange_time.now()


def forget() -> None:
    """Close this process's connections to the exchange, and forget that it did not answer."""
    _http.clear()
    execute_breaker.close()
    _clock_backoff.stop()


def _in_path(ticker: str) -> str:
    """Return a ticker as one segment of a path, whatever it is: `..` must not lead elsewhere."""
    return percent_encode(ticker, safe="").replace(".", "%2E")


def _moment(text: Any) -> datetime:
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"{text} has no time zone")
    return moment


def _parse(value: Any, parse: Callable[[Any], Parsed]) -> Parsed:
    """Return what `parse` makes of an answer.

    Raises:
        Unknown: It makes nothing of it.
    """
    try:
        return parse(value)
    except (KeyError, TypeError, ValueError, AttributeError, ArithmeticError, Malformed) as error:
        raise Unknown(f"the answer makes no sense: {error!r}"[:300]) from None


def _about_stock(path: str, ticker: str) -> _Answer:
    try:
        return _call("GET", path, QUOTES_SECONDS_MAX)
    except _NotFound as found:
        if found.is_about("unknown_ticker", stockTicker=ticker):
            raise NotListed(ticker) from None
        raise


def _request_id() -> str:
    """Return the id that log lines carry meanwhile, so that the exchange's log can be matched with ours."""
    return str(structlog.contextvars.get_contextvars().get("request") or uuid4())


def _call(method: str, path: str, seconds_max: float, body: bytes | None = None) -> _Answer:
    """Make one call and return the exchange's answer of 200 or 202.

    Raises:
        Unknown: It may have happened, or not. _NotFound, a kind of it, is the exchange's own 404.
    """
    try:
        answer = _http.call(
            method,
            settings.EXCHANGE_URL + path,
            body=body,
            headers={"Content-Type": "application/json", "Cache-Control": "no-store", "X-Request-ID": _request_id()},
            seconds_max=seconds_max,
            body_bytes_max=BODY_BYTES_MAX,
        )
    except NoAnswer as error:
        raise Unknown(str(error)) from None
    if answer.status not in (200, 202, 404):
        raise Failed(f"{method} {path} answered {answer.status} with {len(answer.body)} bytes")
    try:
        value, at = wire.decode(answer.body), _moment(answer.headers["Exchange-Time"])
    except (Malformed, KeyError, ValueError) as error:
        raise Failed(f"{method} {path} answered {answer.status}, not in the exchange's form: {error}"[:300]) from None
    exchange_time.note(at)
    if answer.status == 404:
        raise _NotFound(value, at)
    return _Answer(value, at)
