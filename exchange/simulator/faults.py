"""The faults in force. They last until they are cleared or the process ends."""

from __future__ import annotations

import random
import re
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from exchange.simulator.errors import Invalid, error

# The answers that a proxy may give instead of the exchange.
PROXY_ANSWERS = (
    "html404",
    "html502",
    "html200",
    "json404",
    "empty200",
    "otherTrade404",
    "cutBody",
    "hangUp",
    "notHttp",
)

# The ways in which a report may be garbled.
GARBLES = ("surrogate", "nul", "longText", "badTime", "badPrice")

_TICKERS_MAX = 500
_PATH = re.compile(r"(?:[A-Z]{3,7} )?/[!-~]{0,200}", re.ASCII)


@dataclass(frozen=True)
class Rule:
    """The values that a fault accepts."""

    default: Any
    # What a value must be, for error messages.
    requirement: str
    accepts: Any
    per_path: bool = False

    def problem(self, value: object) -> str | None:
        """Return what is wrong with a value; None if nothing is."""
        if self.per_path and isinstance(value, dict):
            if all(_PATH.fullmatch(path) and self.accepts(setting) for path, setting in value.items()):
                return None
            return f'each key must be a path such as "/v1/quotes" or "POST /v1/trades", each value {self.requirement}'
        return None if self.accepts(value) else f"must be {self.requirement}"


def _number(minimum: float, maximum: float, unit: str, default: float = 0, *, per_path: bool = False) -> Rule:
    def accepts(value: object) -> bool:
        return isinstance(value, int | float) and not isinstance(value, bool) and minimum <= value <= maximum

    return Rule(default, f"{unit} from {minimum} to {maximum}", accepts, per_path)


def _milliseconds(maximum: int, *, per_path: bool = False) -> Rule:
    return _number(0, maximum, "a number of milliseconds", per_path=per_path)


def _rate(*, per_path: bool = False) -> Rule:
    return _number(0, 1, "a number", 0.0, per_path=per_path)


def _switch() -> Rule:
    return Rule(False, "true or false", lambda value: isinstance(value, bool))


def _whole_number(minimum: int, default: int | None = None) -> Rule:
    def accepts(value: object) -> bool:
        return value is None or (isinstance(value, int) and not isinstance(value, bool) and value >= minimum)

    return Rule(default, "a whole number or null", accepts)


def _some_of(names: tuple[str, ...]) -> Rule:
    def accepts(value: object) -> bool:
        return isinstance(value, list) and bool(value) and all(name in names for name in value)

    return Rule(list(names), f"a list of some of {', '.join(names)}", accepts)


def _tickers() -> Rule:
    def accepts(value: object) -> bool:
        listed = isinstance(value, list) and len(value) <= _TICKERS_MAX
        return listed and all(isinstance(ticker, str) for ticker in value)  # type: ignore[attr-defined]

    return Rule([], f"a list of at most {_TICKERS_MAX} tickers", accepts)


RULES: dict[str, Rule] = {
    "latencyMs": _milliseconds(3_600_000),
    "latencyJitter": _switch(),
    "randomErrorRate": _rate(),
    "executeErrorRate": _rate(),
    "executeNoAnswerRate": _rate(),
    "executeLostRate": _rate(),
    "holdAnswerMs": _milliseconds(600_000),
    "poisonTickers": _tickers(),
    "silentIdRate": _rate(),
    "silentTickers": _tickers(),
    "callbackDropRate": _rate(),
    "callbackDuplicateRate": _rate(),
    "callbackDelayMs": _milliseconds(3_600_000),
    "callbackTimestampSkewSeconds": _number(-86_400, 86_400, "a number of seconds"),
    "contradictRate": _rate(),
    "breakTermsRate": _rate(),
    "callbackGarbleRate": _rate(),
    "recordGarbleRate": _rate(),
    "garbleKinds": _some_of(GARBLES),
    "tickersMax": _whole_number(0),
    "tickersMissing": _tickers(),
    "arriveDelayMs": _milliseconds(600_000, per_path=True),
    "answerDelayMs": _milliseconds(600_000, per_path=True),
    "dripHeadMs": _milliseconds(60_000, per_path=True),
    "dripBodyMs": _milliseconds(60_000, per_path=True),
    "proxyAnswerRate": _rate(per_path=True),
    "proxyAnswerKinds": _some_of(PROXY_ANSWERS),
    "proxyPassRate": _rate(),
    "down": _switch(),
    "seed": _whole_number(-(2**63)),
}


class Faults:
    """The faults in force, and the random numbers that decide which calls and trades they affect."""

    def __init__(self, latency_ms: int) -> None:
        self._latency_ms = latency_ms
        self.clear()

    def clear(self) -> None:
        """End all faults and reset the seed. Idempotent."""
        self._values: dict[str, Any] = {name: rule.default for name, rule in RULES.items()}
        self._values["latencyMs"] = self._latency_ms
        self._random = random.Random()

    def set(self, changes: Mapping[str, object]) -> None:
        """Apply changes, all or none. `seed` restarts the random numbers.

        Raises:
            Invalid: A name or a value is not valid.
        """
        errors = []
        for name, value in changes.items():
            if name not in RULES:
                errors.append(error(name, "is not a fault that this exchange knows", "unknown_field"))
            elif (problem := RULES[name].problem(value)) is not None:
                errors.append(error(name, problem))
        if errors:
            raise Invalid(errors)
        self._values |= changes
        if "seed" in changes:
            self._random = random.Random(self._values["seed"])

    def as_json(self) -> dict[str, Any]:
        """Return all faults by name, with the default value of those that are not in force."""
        return dict(self._values)

    def in_force(self) -> dict[str, Any]:
        """Return the faults whose values differ from the defaults."""
        return {name: value for name, value in self._values.items() if value != RULES[name].default}

    def happens(self, rate_name: str) -> bool:
        """Return at random, with the probability of this rate, whether a fault happens."""
        return self._decide(self._values[rate_name])

    def happens_to(self, rate_name: str, trade_id: str) -> bool:
        """Return whether a fault affects a trade. The result is always the same for the same id, rate and seed."""
        rate = self._values[rate_name]
        return bool(rate) and zlib.crc32(f"{rate_name} {self._values['seed']} {trade_id}".encode()) < rate * 2**32

    def duration(self, name: str) -> int:
        """Return a duration, in microseconds."""
        return int(self._values[name] * 1000)

    def seconds(self, name: str) -> float:
        """Return a number of seconds."""
        return float(self._values[name])

    def pause_seconds(self, name: str, method: str, path: str) -> float:
        """Return a pause that may depend on the path, in seconds."""
        return float(self._for_path(name, method, path)) / 1000

    def latency(self) -> int:
        """Return the time from the arrival of a trade to its execution, in microseconds; random with latencyJitter."""
        latency = self.duration("latencyMs")
        return self._random.randint(0, latency) if self._values["latencyJitter"] else latency

    def proxy_answer(self, method: str, path: str) -> str | None:
        """Return, at random, the kind of answer that a proxy gives to this call instead of the exchange, or None."""
        if not self._decide(self._for_path("proxyAnswerRate", method, path)):
            return None
        return str(self._random.choice(self._values["proxyAnswerKinds"]))

    def garble_kind(self) -> str:
        """Return, at random, the way in which to garble a report."""
        return str(self._random.choice(self._values["garbleKinds"]))

    def is_poison(self, ticker: object) -> bool:
        """Return whether an Execute that contains this ticker fails as a whole."""
        return ticker in self._values["poisonTickers"]

    def is_silent(self, trade_id: str, ticker: str) -> bool:
        """Return whether the exchange reports nothing on this trade, neither by callback nor to TradeExists."""
        return ticker in self._values["silentTickers"] or self.happens_to("silentIdRate", trade_id)

    def shorten(self, tickers: list[str]) -> list[str]:
        """Return the tickers that the list of tickers shows."""
        missing = set(self._values["tickersMissing"])
        return [ticker for ticker in tickers if ticker not in missing][: self._values["tickersMax"]]

    @property
    def down(self) -> bool:
        """Return whether the exchange answers all calls with 503 and does nothing."""
        return bool(self._values["down"])

    def _decide(self, rate: float) -> bool:
        return bool(rate) and self._random.random() < rate

    def _for_path(self, name: str, method: str, path: str) -> float:
        """Return the value for a path: that of the longest prefix; of two equal prefixes, the one with the method."""
        value = self._values[name]
        if not isinstance(value, dict):
            return float(value)
        best: tuple[int, bool] = (-1, False)
        best_value = 0.0
        for key, setting in value.items():
            named_method, _, prefix = key.rpartition(" ")
            rank = (len(prefix), bool(named_method))
            if path.startswith(prefix) and named_method in ("", method) and rank > best:
                best, best_value = rank, float(setting)
        return best_value
