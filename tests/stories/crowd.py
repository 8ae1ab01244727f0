"""A crowd of customers that trades over HTTP and records every response, and an independent checker.

None of the brokerage's code is used here. The checker compares three witnesses: the responses of the API, the
exchange's own record, and the audit of the books.
"""

import random
import statistics
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from itertools import pairwise
from typing import Any

import urllib3

CLIENTS = 16
RETRY_SECONDS = 0.1
GIVE_UP_SECONDS = 180.0
POLL_SECONDS = 0.25
FINAL = {"FILLED", "REJECTED"}
CONNECTION_ERROR = 0  # instead of an HTTP status
TICKERS = ("AAPL", "MSFT", "NVDA", "KO")

Json = dict[str, Any]


@dataclass(frozen=True)
class Person:
    """A customer; `cash` is the amount in USD at the start."""

    id: int
    token: str
    cash: Decimal


@dataclass(frozen=True)
class Placed:
    """A customer's `number`-th accepted order; `asked_at` is when it was first attempted, in epoch seconds."""

    person: int
    number: int
    body: Json
    response: Json
    asked_at: float


@dataclass
class Evidence:
    """Responses to orders; each customer's trades, cash and shares at the end; the exchange's record; the audit."""

    people: Sequence[Person]
    placed: list[Placed] = field(default_factory=list)
    trades: dict[int, list[Json]] = field(default_factory=dict)  # by customer, oldest first
    cash: dict[int, Json] = field(default_factory=dict)
    shares: dict[int, list[Json]] = field(default_factory=dict)
    exchange: list[Json] = field(default_factory=list)
    audit: Json = field(default_factory=dict)


class Crowd:
    """Customers, and the client threads that place their trades; each customer's trades are placed sequentially."""

    def __init__(self, urls: Sequence[str], people: Sequence[Person], seed: int = 1) -> None:
        self.urls, self.people = urls, people
        self.statuses: Counter[int] = Counter()  # of every attempt to place an order
        self.placed: list[Placed] = []
        self._seed = seed
        self._local = threading.local()

    def place(self, trades_each: int, seconds: float = 0.0) -> None:
        """Place this many random trades per customer, evenly over these seconds. Repeat each until it gets a 2xx."""
        started_at = time.monotonic()
        groups = [self.people[n::CLIENTS] for n in range(min(CLIENTS, len(self.people)))]

        def client(number: int) -> None:
            random_source = random.Random(self._seed * 1000 + number)
            for turn in range(trades_each):
                for index, person in enumerate(groups[number]):
                    due = started_at + seconds * (turn + index / len(groups[number])) / trades_each
                    time.sleep(max(0.0, due - time.monotonic()))
                    self._place(person, turn, random_source)

        with ThreadPoolExecutor(len(groups)) as pool:
            for client_run in [pool.submit(client, number) for number in range(len(groups))]:
                client_run.result()

    def _place(self, person: Person, number: int, random_source: random.Random) -> None:
        body = {
            "stockTicker": random_source.choice(TICKERS[: 1 + person.id % len(TICKERS)]),
            "type": "BUY" if number == 0 else random_source.choice(["BUY", "SELL"]),
            "quantity": random_source.randint(1, 3),
        }
        asked_at = time.time()
        while True:
            status, response = self.call(person, "POST", "/api/v1/trades", body, key=f"{self._seed}-{number}")
            self.statuses[status] += 1
            if status in (200, 201):
                self.placed.append(Placed(person.id, number, body, response, asked_at))
                return
            if (status != CONNECTION_ERROR and status < 500) or time.time() - asked_at > GIVE_UP_SECONDS:
                raise AssertionError(f"PlaceTrade returned {status}: {response}")
            time.sleep(RETRY_SECONDS)

    def call(self, person: Person, method: str, path: str, body: Json | None = None, key: str = "") -> tuple[int, Any]:
        """Call the API at the next `web`; return the status (or CONNECTION_ERROR) and the decoded response."""
        pool = self._local.__dict__.setdefault("pool", urllib3.PoolManager(retries=False, timeout=10.0))
        self._local.calls = getattr(self._local, "calls", 0) + 1
        url = self.urls[self._local.calls % len(self.urls)]
        headers = {"Authorization": f"Bearer {person.token}"} | ({"Idempotency-Key": key} if key else {})
        try:
            response = pool.request(method, url + path, json=body, headers=headers)
            return response.status, response.json()
        except (urllib3.exceptions.HTTPError, ValueError) as error:
            return CONNECTION_ERROR, repr(error)

    def get(self, person: Person, path: str) -> Any:
        """Repeat a GET until its status is 200; return the response."""
        deadline = time.monotonic() + GIVE_UP_SECONDS
        while (response := self.call(person, "GET", path))[0] != 200:
            assert time.monotonic() < deadline, response
            time.sleep(RETRY_SECONDS)
        return response[1]

    def find_trades(self, person: Person) -> list[Json]:
        """Return a customer's trades, oldest first."""
        trades: list[Json] = []
        cursor = ""
        while cursor is not None:
            page = self.get(person, f"/api/v1/trades?limit=500{cursor and '&cursor='}{cursor}")
            trades += page["results"]
            cursor = page["next"]
        return trades[::-1]

    def wait_until_final(self, seconds_max: float) -> None:
        """Wait until every trade of every customer is final, at most this long."""
        deadline = time.monotonic() + seconds_max
        unfinished = list(self.people)
        with ThreadPoolExecutor(4) as pool:
            while unfinished and time.monotonic() < deadline:
                time.sleep(POLL_SECONDS)
                trades_of_each = pool.map(self.find_trades, unfinished)
                unfinished = [
                    person
                    for person, trades in zip(unfinished, list(trades_of_each), strict=True)
                    if any(trade["status"] not in FINAL for trade in trades)
                ]

    def testify(self, exchange_url: str, audit: Json) -> Evidence:
        """Collect all evidence."""
        with ThreadPoolExecutor(4) as pool:

            def by_customer(read: Any) -> dict[int, Any]:
                results = pool.map(read, self.people)
                return {person.id: result for person, result in zip(self.people, results, strict=True)}

            return Evidence(
                self.people,
                self.placed,
                by_customer(self.find_trades),
                by_customer(lambda person: self.get(person, "/api/v1/balance")),
                by_customer(lambda person: self.get(person, "/api/v1/positions")),
                exchange_record(exchange_url),
                audit,
            )


def exchange_record(url: str) -> list[Json]:
    """Return the exchange's own record, in order of arrival."""
    entries: list[Json] = []
    after = 0
    while after is not None:
        page = urllib3.request("GET", f"{url}/v1/trades?after={after}&limit=1000").json()
        entries += page["results"]
        after = page["next"]
    return entries


def moment(text: str) -> float:
    """Convert an RFC 3339 time to epoch seconds."""
    return datetime.fromisoformat(text).timestamp()


# -- the checker


def violations(evidence: Evidence) -> list[str]:
    """Return a description of every broken promise."""
    received: dict[str, list[Json]] = defaultdict(list)
    for entry in evidence.exchange:
        received[entry["tradeId"]].append(entry)
    broken_promises = [f"the audit says: {violation}" for violation in evidence.audit.get("violations", [])]
    if evidence.audit.get("ok") is not True:
        broken_promises.append("the audit does not report success")
    for person in evidence.people:
        placed = sorted(
            (placing for placing in evidence.placed if placing.person == person.id), key=lambda placing: placing.number
        )
        trades = evidence.trades[person.id]
        broken_promises += [f"customer {person.id}: {violation}" for violation in _check_placings(placed, trades)]
        broken_promises += [f"customer {person.id}: {violation}" for violation in _check_exchange(trades, received)]
        broken_promises += [
            f"customer {person.id}: {violation}" for violation in _check_books(person, trades, evidence)
        ]
    return broken_promises


def _check_placings(placed: Sequence[Placed], trades: Sequence[Json]) -> Iterable[str]:
    by_id = {trade["tradeId"]: trade for trade in trades}
    for placing in placed:
        trade = by_id.get(placing.response["tradeId"])
        if trade is None:
            yield f"lost: {placing.response['tradeId']} was accepted and is missing"
        elif {name: trade[name] for name in placing.body} != placing.body:
            yield f"changed: {trade['tradeId']} was placed as {placing.body} and is {trade}"
    if len(by_id) != len(placed) or len(trades) != len(placed):
        yield f"{len(placed)} trades were placed, {len(trades)} exist"
    order = [placing.response["tradeId"] for placing in placed]
    if [trade["tradeId"] for trade in trades if trade["tradeId"] in set(order)] != [id for id in order if id in by_id]:
        yield "out of order: the trades are not in the order in which they were placed"
    for trade in trades:
        if trade["status"] not in FINAL:
            yield f"not final: {trade['tradeId']} is {trade['status']}"


def _check_exchange(trades: Sequence[Json], received: dict[str, list[Json]]) -> Iterable[str]:
    for trade in trades:
        entries = received.get(trade["tradeId"], [])
        executions = {entry["executionId"] for entry in entries if entry["status"] == "FILLED"}
        if len(entries) > 1 or len(executions) > 1:
            yield f"executed twice: {trade['tradeId']} is {len(entries)} times in the exchange's record"
        if bool(executions) != (trade["status"] == "FILLED"):
            yield f"{trade['tradeId']} is {trade['status']} here, and was executed {len(executions)} times there"
        for entry in entries:
            if entry["status"] == "FILLED" and (entry["price"], entry["amount"]) != (trade["price"], trade["amount"]):
                yield f"{trade['tradeId']} was executed at {entry['price']}, and is booked at {trade['price']}"
    # The exchange's entries, in the order in which the trades were placed.
    sent = [entry for trade in trades for entry in received.get(trade["tradeId"], [])]
    for earlier, later in pairwise(sent):
        if earlier["sequence"] > later["sequence"]:
            yield f"out of order: the exchange received {later['tradeId']} before {earlier['tradeId']}"
        elif earlier["finalAt"] is None or moment(later["firstReceivedAt"]) < moment(earlier["finalAt"]):
            yield f"two in flight: {later['tradeId']} came before {earlier['tradeId']} was final"


def _check_books(person: Person, trades: Sequence[Json], evidence: Evidence) -> Iterable[str]:
    cash, shares = person.cash, Counter[str]()
    for trade in trades:
        if trade["status"] == "FILLED":
            sign = 1 if trade["type"] == "BUY" else -1
            cash -= sign * Decimal(trade["netAmount"])
            shares[trade["stockTicker"]] += sign * trade["quantity"]
    balance = evidence.cash[person.id]
    if Decimal(balance["amount"]) != cash or Decimal(balance["held"]) != 0:
        yield f"cash should be {cash} and is {balance['amount']}, {balance['held']} held"
    held = {row["stockTicker"]: row["quantity"] for row in evidence.shares[person.id]}
    if held != +shares or min(shares.values(), default=0) < 0:
        yield f"shares should be {dict(+shares)} and are {held}"


# -- figures


@dataclass(frozen=True)
class Wait:
    """The time that a trade spent first in its customer's line until it was final, in epoch seconds.

    A fault may lengthen it.
    """

    started_at: float
    ended_at: float

    @property
    def seconds(self) -> float:
        return self.ended_at - self.started_at


def waits(evidence: Evidence) -> list[Wait]:
    """Return every trade's wait, from the first attempt or the end of the previous trade until it was final."""
    asked_at = {placing.response["tradeId"]: placing.asked_at for placing in evidence.placed}
    all_waits = []
    for trades in evidence.trades.values():
        previous_end = 0.0
        for trade in trades:
            ended = moment(trade["settledAt"])
            all_waits.append(Wait(max(previous_end, asked_at[trade["tradeId"]]), ended))
            previous_end = ended
    return all_waits


def longest_delays(evidence: Evidence, kills: Sequence[float]) -> list[float]:
    """Return, for each kill, by how many seconds the longest wait during it exceeded the median wait."""
    all_waits = waits(evidence)
    median = statistics.median(wait.seconds for wait in all_waits)
    return [
        max((wait.seconds - median for wait in all_waits if wait.started_at <= kill <= wait.ended_at), default=0.0)
        for kill in kills
    ]


def figures(evidence: Evidence) -> Json:
    """Return counts, the total duration, and quantiles of the time from placed to final."""
    trades = [trade for trades in evidence.trades.values() for trade in trades]
    durations = sorted(moment(trade["settledAt"]) - moment(trade["createdAt"]) for trade in trades)
    started_at = min(placing.asked_at for placing in evidence.placed)
    seconds = max(moment(trade["settledAt"]) for trade in trades) - started_at
    return {
        "trades": len(trades),
        "filled": sum(trade["status"] == "FILLED" for trade in trades),
        "seconds": round(seconds, 1),
        "trades/s": round(len(trades) / seconds, 1),
        "p50 placed→final": f"{durations[len(durations) // 2]:.2f} s",
        "p99": f"{durations[int(len(durations) * 0.99)]:.2f} s",
        "p50 wait": f"{statistics.median(wait.seconds for wait in waits(evidence)):.2f} s",
    }
