"""The HTTP client of the exchange: Execute, TradeExists, listings, prices, and market hours.

Every call has a deadline, follows no redirects and is never retried here: only the caller knows whether that is safe.

Only an answer in the format of the protocol, about what was requested, counts as the exchange's. A proxy's error page,
a 404 that does not name the trade, or a list with a trade that was not sent means "unknown", just like no answer.
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
from web.patience import seconds_left, waiting

# The deadline of a whole call. Execute and TradeExists answer within milliseconds. If they take longer, the outcome is
# unknown, and the sweep asks again.
TRADING_SECONDS_MAX = 3.0
# Shorter, because pages and API calls that show a price can do without it.
QUOTES_SECONDS_MAX = 1.5
BODY_BYTES_MAX = 4_000_000
TICKERS_A_CALL_MAX = 200
BARS_A_CALL_MAX = 5_000  # the exchange computes this many in a tenth of a second
TIME_AGE_SECONDS_MAX = 60.0  # how long we extrapolate the exchange's clock after its last answer

Parsed = TypeVar("Parsed")


class NotListed(Exception):
    """The exchange doesn't list a stock with this ticker."""


class Failed(Unknown):
    """The exchange answered, but not with what was requested."""


class _NotFound(Failed):
    """The exchange's own 404. `body` says what was not found."""

    def __init__(self, body: Any, at: datetime) -> None:
        super().__init__(f"the answer is 404: {body!r}"[:200])
        self.body, self.at = body, at

    def is_about(self, code: str, **names: str) -> bool:
        """Return whether the body has this code and these fields."""
        return isinstance(self.body, dict) and {"code": code, **names}.items() <= self.body.items()


_http = Client()
# While the exchange hangs, turns must not wait for it again and again; the sweep's calls notice when it is back. An
# exchange that answers with an error doesn't make anyone wait, so that doesn't open the breaker.
execute_breaker = pybreaker.CircuitBreaker(
    fail_max=2, reset_timeout=2, name="execute", throw_new_error_on_trip=False, exclude=[Failed]
)
_clock_backoff = Backoff(2.0)


@dataclass(frozen=True, slots=True)
class _Answer:
    """A decoded answer, and the exchange's time when it was given."""

    value: Any
    at: datetime


def execute(orders: list[Order], *, is_probe: bool = False) -> list[Refusal]:
    """Send orders to the exchange (Execute) and return those it refuses. It has stored all others.

    Idempotent: the exchange stores and executes an order only once, because the trade's id is its idempotency key.

    Args:
        orders: 1 to 100.
        is_probe: Send them even if the circuit breaker is open, because the exchange has just answered the caller.

    Raises:
        Unknown: Each of the orders may or may not have been stored.
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
    """Return the exchange's current report on a trade (TradeExists); None if it doesn't know the trade.

    The report is decoded and in the format of the protocol, but it is not checked against the terms of the trade.

    Raises:
        Unknown: There was no trustworthy answer.
    """
    return ask_with_time(trade_id)[0]


def ask_with_time(trade_id: UUID) -> tuple[dict[str, Any] | None, datetime]:
    """Return the result of `ask`, and the time of the answer by the exchange's own clock.

    None means that the trade had not arrived by that time. If that is after its `expires_at`, the exchange will never
    accept the trade, because it checks the expiry by the same clock.
    """
    try:
        answer = _call("GET", f"/v1/trades/{trade_id}", TRADING_SECONDS_MAX)
    except _NotFound as not_found:
        if not_found.is_about("not_found", tradeId=str(trade_id)):
            return None, not_found.at
        raise
    report = _parse(answer.value, _report)
    if report["tradeId"] != str(trade_id):
        raise Unknown("the answer to TradeExists is about another trade")
    return report, answer.at


def _report(value: Any) -> dict[str, Any]:
    Report.parse(value)
    return dict(value)


def history(after: int, limit: int = 1000) -> tuple[list[dict[str, Any]], int | None]:
    """Return a page of the exchange's own record in order of arrival, and `after` of the next page; None on the last.

    Each row is a report with `sequence` and `receivedAt`. The rows are not checked.

    Raises:
        Unknown: There was no trustworthy answer.
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
        NotListed: The exchange does not list the stock.
        Unknown: There was no trustworthy answer.
    """
    answer = _call_for_stock(f"/v1/quotes/{_quoted(ticker)}", ticker)
    return _parse(answer.value, lambda value: _quote(value, {ticker}))


def quotes(tickers: list[str]) -> dict[str, dict[str, Any]]:
    """Return the last prices of stocks by ticker. Stocks that are not listed are omitted.

    Raises:
        Unknown: There was no trustworthy answer.
    """
    quotes: dict[str, dict[str, Any]] = {}
    for start in range(0, len(tickers), TICKERS_A_CALL_MAX):
        batch = set(tickers[start : start + TICKERS_A_CALL_MAX])
        path = "/v1/quotes?tickers=" + ",".join(percent_encode(ticker, safe="") for ticker in sorted(batch))
        answer = _call("GET", path, QUOTES_SECONDS_MAX)
        rows = _parse(answer.value, lambda value, batch=batch: [_quote(row, batch) for row in value["results"]])  # type: ignore[misc]
        quotes |= {row["stockTicker"]: row for row in rows}
    return quotes


def _quote(row: dict[str, Any], requested: set[str]) -> dict[str, Any]:
    if row["stockTicker"] not in requested:
        raise Malformed("a quote is for a stock that was not requested")
    return row | {"price": parse_amount(row["price"]), "at": _moment(row["at"])}


def tickers() -> list[dict[str, Any]]:
    """Return the listed stocks: `stockTicker`, `name` and more.

    Raises:
        Unknown: There was no trustworthy answer.
    """

    def listed(value: Any) -> list[dict[str, Any]]:
        if not all(isinstance(row["stockTicker"], str) for row in value["results"]):
            raise Malformed("a ticker is not a string")
        return list(value["results"])

    return _parse(_call("GET", "/v1/tickers", TRADING_SECONDS_MAX).value, listed)


def closures() -> list[dict[str, Any]]:
    """Return the closures announced at short notice.

    Returns:
        For each: `date`, `close` (the early close, Eastern; None: closed all day) and `reason`.

    Raises:
        Unknown: There was no trustworthy answer.
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
    """Return the corporate actions announced after this sequence number, in order. They are not checked.

    Raises:
        Unknown: There was no trustworthy answer.
    """

    def announced(value: Any) -> list[dict[str, Any]]:
        rows = list(value["results"])
        if not all(type(row["sequence"]) is int and row["sequence"] > after for row in rows):
            raise Malformed("a sequence is not a number, or not after the last one")
        return rows

    return _parse(_call("GET", f"/v1/corporate-actions?after={after}&limit=100", TRADING_SECONDS_MAX).value, announced)


def clock() -> dict[str, Any]:
    """Return the market's status: `isOpen`, `hours`, and the times `nextOpen` and `nextClose`, which may be None.

    Raises:
        Unknown: There was no trustworthy answer.
    """

    def hours(value: Any) -> dict[str, Any]:
        if not (isinstance(value["isOpen"], bool) and isinstance(value["hours"], str)):
            raise Malformed("isOpen or hours")
        moments = {name: value[name] and _moment(value[name]) for name in ("nextOpen", "nextClose")}
        return dict(value) | moments

    return _parse(_call("GET", "/v1/clock", QUOTES_SECONDS_MAX).value, hours)


def bars(ticker: str, start: datetime, end: datetime, step_seconds: int) -> list[dict[str, Any]]:
    """Return up to 1,000 bars of a stock in order of time: `at`, `open`, `high`, `low`, `close`.

    Bars begin at whole multiples of the step. There are none while the market is closed, and none in the future.

    Raises:
        NotListed: The exchange does not list the stock.
        Unknown: There was no trustworthy answer.
    """
    query = urlencode({"start": start.isoformat(), "end": end.isoformat(), "step": step_seconds})
    answer = _call_for_stock(f"/v1/bars/{_quoted(ticker)}?{query}", ticker)

    def rows(value: Any) -> list[dict[str, Any]]:
        if (value["stockTicker"], value["step"]) != (ticker, step_seconds):
            raise Malformed("the bars are not the requested ones")
        return [{"at": _moment(row["at"])} | _prices(row) for row in value["results"]]

    return _parse(answer.value, rows)


@dataclass(frozen=True, slots=True)
class FirstAndLast:
    """The first and the last price of a bar that begins at `at`."""

    at: datetime
    open: Decimal
    close: Decimal


def bars_of_many(
    tickers: list[str], start: datetime, end: datetime, step_seconds: int
) -> dict[str, list[FirstAndLast]]:
    """Return the bars of several stocks, by ticker and in order of time. Stocks that are not listed are omitted.

    Bars begin at whole multiples of the step. There are none while the market is closed, and none in the future. Each
    call to the exchange returns at most BARS_A_CALL_MAX bars.

    Raises:
        Unknown: There was no trustworthy answer.
    """
    steps = (end - start).total_seconds() // step_seconds + 1
    size = min(TICKERS_A_CALL_MAX, max(1, int(BARS_A_CALL_MAX // steps)))
    parameters = {"start": start.isoformat(), "end": end.isoformat(), "step": step_seconds, "fields": "open,close"}
    period = urlencode(parameters)
    bars: dict[str, list[FirstAndLast]] = {}
    for number in range(0, len(tickers), size):
        batch = set(tickers[number : number + size])
        names = ",".join(percent_encode(ticker, safe="") for ticker in sorted(batch))

        def rows(value: Any, batch: set[str] = batch) -> dict[str, list[FirstAndLast]]:
            if value["step"] != step_seconds or not {row["stockTicker"] for row in value["results"]} <= batch:
                raise Malformed("the bars are not the requested ones")
            return {row["stockTicker"]: [_first_and_last(bar) for bar in row["bars"]] for row in value["results"]}

        answer = _call("GET", f"/v1/bars?tickers={names}&{period}", QUOTES_SECONDS_MAX)
        bars |= _parse(answer.value, rows)
    return bars


def _first_and_last(row: Any) -> FirstAndLast:
    return FirstAndLast(_moment(row["at"]), parse_amount(row["open"]), parse_amount(row["close"]))


def _prices(row: Any) -> dict[str, Decimal]:
    return {name: parse_amount(row[name]) for name in ("open", "high", "low", "close")}


def exchange_now() -> datetime | None:
    """Return the exchange's time, calling it if its last answer is too old; None if it has never answered."""
    if exchange_time.age_seconds() > TIME_AGE_SECONDS_MAX and not _clock_backoff.is_active:
        try:
            clock()
        except Unknown:
            _clock_backoff.start()
    return exchange_time.now()


def forget() -> None:
    """Close this process's connections to the exchange, and reset its circuit breaker and back-off."""
    _http.clear()
    execute_breaker.close()
    _clock_backoff.stop()


def _quoted(ticker: str) -> str:
    """Return a ticker as a single path segment, so that a ticker such as `..` can't lead to another path."""
    return percent_encode(ticker, safe="").replace(".", "%2E")


def _moment(text: Any) -> datetime:
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"{text} has no time zone")
    return moment


def _parse(value: Any, parse: Callable[[Any], Parsed]) -> Parsed:
    """Return the result of `parse`.

    Raises:
        Unknown: The answer can't be parsed.
    """
    try:
        return parse(value)
    except (KeyError, TypeError, ValueError, AttributeError, ArithmeticError, Malformed) as error:
        raise Unknown(f"the answer is not valid: {error!r}"[:300]) from None


def _call_for_stock(path: str, ticker: str) -> _Answer:
    try:
        return _call("GET", path, QUOTES_SECONDS_MAX)
    except _NotFound as not_found:
        if not_found.is_about("unknown_ticker", stockTicker=ticker):
            raise NotListed(ticker) from None
        raise


def _request_id() -> str:
    """Return the id that log lines carry meanwhile, so that the exchange's log can be matched with ours."""
    return str(structlog.contextvars.get_contextvars().get("request") or uuid4())


@waiting()
def _call(method: str, path: str, seconds_max: float, body: bytes | None = None) -> _Answer:
    """Make one call and return the exchange's answer, whose status is 200 or 202.

    Raises:
        Unknown: The request may or may not have been executed.
        _NotFound: The exchange itself answered 404.
    """
    try:
        answer = _http.call(
            method,
            settings.EXCHANGE_URL + path,
            body=body,
            headers={"Content-Type": "application/json", "Cache-Control": "no-store", "X-Request-ID": _request_id()},
            seconds_max=seconds_left(seconds_max, optional=True),
            body_bytes_max=BODY_BYTES_MAX,
        )
    except NoAnswer as error:
        raise Unknown(str(error)) from None
    if answer.status not in (200, 202, 404):
        raise Failed(f"{method} {path} answered {answer.status} with {len(answer.body)} bytes")
    try:
        value, at = wire.decode(answer.body), _moment(answer.headers["Exchange-Time"])
    except (Malformed, KeyError, ValueError) as error:
        raise Failed(f"{method} {path} answered {answer.status}, but not in the protocol: {error}"[:300]) from None
    exchange_time.note(at)
    if answer.status == 404:
        raise _NotFound(value, at)
    return _Answer(value, at)
