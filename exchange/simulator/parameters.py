"""Read what a call carries: its query string and its JSON body."""

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
    """One call of an endpoint."""

    request: Request
    caller: Caller
    # The exchange's time when it began to look at the call.
    at: int
    # What the path ends with, where the endpoint is about one thing.
    name: str = ""

    def json(self) -> Any:
        """The body. Raises Problem when it is too long or not JSON."""
        body = self.request.body
        if body is None:
            headers = (("connection", "close"),)
            raise Problem(413, "too_large", f"a body has at most {BODY_BYTES_MAX} bytes", headers=headers)
        try:
            return json.loads(body, parse_constant=_refuse_constant)
        except (ValueError, RecursionError) as wrong:
            raise Problem(400, "not_json", "the body must be JSON in UTF-8") from wrong

    def query(self) -> Query:
        """The query string's parameters. Raises Problem when there are too many."""
        if not self.request.query_string:
            return Query({})
        try:
            text = self.request.query_string
            return Query(parse_qs(text, keep_blank_values=True, max_num_fields=QUERY_FIELDS_MAX))
        except ValueError as wrong:
            raise Problem(400, "invalid", "the query string has too many fields") from wrong


class Query:
    """Parameters of a query string; of one that is repeated, the last counts. Readers raise Invalid."""

    def __init__(self, values: dict[str, list[str]]) -> None:
        self._values = values

    def __contains__(self, name: str) -> bool:
        return name in self._values

    def text(self, name: str, default: str = "") -> str:
        """A parameter as it is."""
        return self._values[name][-1] if name in self._values else default

    def number(self, name: str, default: int, least: int, most: int) -> int:
        """A whole number from `least` to `most`."""
        text = self.text(name, str(default))
        if not re.fullmatch(r"\d{1,19}", text, re.ASCII) or not least <= int(text) <= most:
            raise Invalid([error(name, f"must be a whole number from {least} to {most}")])
        return int(text)

    def time(self, name: str, default: int) -> int:
        """An RFC 3339 time."""
        if name not in self:
            return default
        try:
            # An unescaped plus of an offset arrives as a space.
            return parse_time(re.sub(r" (?=\d\d:\d\d$)", "+", self.text(name)))
        except ValueError as wrong:
            raise Invalid([error(name, str(wrong))]) from wrong

    def date(self, name: str, default: date) -> date:
        """An ISO 8601 date."""
        try:
            return parse_date(self.text(name, default.isoformat()))
        except ValueError as wrong:
            raise Invalid([error(name, str(wrong))]) from wrong

    def tickers(self, most: int) -> list[str]:
        """The parameter `tickers`: 1 to `most` tickers with commas between them, each once."""
        tickers = list(dict.fromkeys(self.text("tickers").split(",")))
        if tickers == [""] or len(tickers) > most:
            raise Invalid([error("tickers", f"must be 1 to {most} tickers with commas between them")])
        return tickers


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")
