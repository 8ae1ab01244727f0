"""Parse the query string and the JSON body of a call."""

from __future__ import annotations

import json
import re
from datetime import date
from typing import Any, NamedTuple
from urllib.parse import parse_qs

from exchange.simulator.errors import Invalid, Problem, error
from exchange.simulator.formats import parse_date, parse_time
from exchange.simulator.http_server import Caller, Request

BODY_BYTES_MAX = 262_144
QUERY_FIELDS_MAX = 50


class Call(NamedTuple):
    """A call to an endpoint."""

    request: Request
    caller: Caller
    # The exchange's time when it began to process the call.
    at: int
    # The last segment of the path, if the endpoint is about a single trade or stock.
    name: str = ""

    def json(self) -> Any:
        """Return the decoded body. Raises Problem if it is too long or not JSON."""
        body = self.request.body
        if body is None:
            headers = (("connection", "close"),)
            raise Problem(413, "too_large", f"a body has at most {BODY_BYTES_MAX} bytes", headers=headers)
        try:
            return json.loads(body, parse_constant=_refuse_constant)
        except (ValueError, RecursionError) as problem:
            raise Problem(400, "not_json", "the body must be JSON in UTF-8") from problem

    def query(self) -> Query:
        """Return the parameters of the query string. Raises Problem if there are too many."""
        if not self.request.query_string:
            return Query({})
        try:
            text = self.request.query_string
            return Query(parse_qs(text, keep_blank_values=True, max_num_fields=QUERY_FIELDS_MAX))
        except ValueError as problem:
            raise Problem(400, "invalid", "the query string has too many fields") from problem


class Query:
    """The parameters of a query string. If one is repeated, the last counts. The methods may raise Invalid."""

    def __init__(self, values: dict[str, list[str]]) -> None:
        self._values = values

    def __contains__(self, name: str) -> bool:
        return name in self._values

    def text(self, name: str, default: str = "") -> str:
        """Return a parameter as it is."""
        return self._values[name][-1] if name in self._values else default

    def number(self, name: str, default: int, minimum: int, maximum: int) -> int:
        """Return a whole number from `minimum` to `maximum`."""
        text = self.text(name, str(default))
        if not re.fullmatch(r"\d{1,19}", text, re.ASCII) or not minimum <= int(text) <= maximum:
            raise Invalid([error(name, f"must be a whole number from {minimum} to {maximum}")])
        return int(text)

    def time(self, name: str, default: int) -> int:
        """Return an RFC 3339 time, in microseconds."""
        if name not in self:
            return default
        try:
            # The plus sign of an offset, if it was not escaped, arrives as a space.
            return parse_time(re.sub(r" (?=\d\d:\d\d$)", "+", self.text(name)))
        except ValueError as problem:
            raise Invalid([error(name, str(problem))]) from problem

    def date(self, name: str, default: date) -> date:
        """Return an ISO 8601 date."""
        try:
            return parse_date(self.text(name, default.isoformat()))
        except ValueError as problem:
            raise Invalid([error(name, str(problem))]) from problem

    def tickers(self, maximum: int) -> list[str]:
        """Return the parameter `tickers`: 1 to `maximum` tickers separated by commas, without duplicates."""
        tickers = list(dict.fromkeys(self.text("tickers").split(",")))
        if tickers == [""] or len(tickers) > maximum:
            raise Invalid([error("tickers", f"must be 1 to {maximum} tickers with commas between them")])
        return tickers


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")
