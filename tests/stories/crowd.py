"""A crowd of customers that trades over HTTP, remembers every answer, and a checker that believes nobody.

Nothing of the brokerage's code is used here. The checker compares three witnesses: what the API answered, the
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
GIVE_UP_SECONDS = 90.0
POLL_SECONDS = 0.25
FINAL = {"FILLED", "REJECTED"}
CONNECTION_ERROR = 0  # stands where an HTTP status would, had there been an answer
TICKERS = ("AAPL", "MSFT", "NVDA", "KO")

Json = dict[str, Any]


@dataclass(frozen=True)
class Person:
    """A customer, with the cash in USD at the start."""

    id: int
    token: str
    cash: Decimal


@dataclass(frozen=True)
class Placed:
    """A placing that was answered: the `number`-th of its customer. `asked_at`: the first attempt, epoch seconds."""

    person: int
    number: int
    body: Json
    answer: Json
    asked_at: float


@dataclass
class Evidence:
    """What the witnesses said: the answers to placings, then of each customer trades, cash and shares at the end."""

    people: Sequence[Person]
    placed: list[Placed] = field(default_factory=list)
    trades: dict[int, list[Json]] = field(default_factory=dict)  # by customer, oldest first
    cash: dict[int, Json] = field(default_factory=dict)
    shares: dict[int, list[Json]] = field(default_factory=dict)
    exchange: list[Json] = field(default_factory=list)
    audit: Json = field(default_factory=dict)


class Crowd:
    """Customers and the client threads that place for them; each customer's trades are placed one after the other."""

    def __init__(self, urls: Sequence[str], people: Sequence[Person], seed: int = 1) -> None:
        self.urls, self.people = urls, people
        self.statuses: Counter[int] = Counter()  # of every attempt to place
        self.placed: list[Placed] = []
        self._seed = seed
        self._local = threading.local()

    def place(self, trades_each: int, seconds: float = 0.0) -> None:
        """Place that many random trades for each customer, evenly over these seconds. Repeats until answered 2xx."""
        began = time.monotonic()
        groups = [self.people[n::CLIENTS] for n in range(min(CLIENTS, len(self.people)))]

        def client(number: int) -> None:
            dice = random.Random(self._seed * 1000 + number)
            for turn in range(trades_each):
                for index, person in enumerate(groups[number]):
                    due = began + seconds * (turn + index / len(groups[number])) / trades_each
                    time.sleep(max(0.0, due - time.monotonic()))
                    self._place(person, turn, dice)

        with ThreadPoolExecutor(len(groups)) as pool:
            for done in [pool.submit(client, number) for number in range(len(groups))]:
                done.result()

    def _place(self, person: Person, number: int, dice: random.Random) -> None:
        body = {
            "stockTicker": dice.choice(TICKERS[: 1 + person.id % len(TICKERS)]),
            "type": "BUY" if number == 0 else dice.choice(["BUY", "SELL"]),
            "quantity": dice.randint(1, 3),
        }
        asked_at = time.time()
        while True:
            status, answer = self.call(person, "POST", "/api/v1/trades", body, key=f"{self._seed}-{number}")
            self.statuses[status] += 1
            if status in (200, 201):
                self.placed.append(Placed(person.id, number, body, answer, asked_at))
                return
            if (status != CONNECTION_ERROR and status < 500) or time.time() - asked_at > GIVE_UP_SECONDS:
                raise AssertionError(f"PlaceTrade answered {status}: {answer}")
            time.sleep(RETRY_SECONDS)

    def call(self, person: Person, method: str, path: str, body: Json | None = None, key: str = "") -> tuple[int, Any]:
        """One call of the API, each time to the next `web`; its status (or CONNECTION_ERROR) and its decoded answer."""
        pool = self._local.__dict__.setdefault("pool", urllib3.PoolManager(retries=False, timeout=10.0))
        self._local.calls = getattr(self._local, "calls", 0) + 1
        url = self.urls[self._local.calls % len(self.urls)]
        headers = {"Authorization": f"Bearer {person.token}"} | ({"Idempotency-Key": key} if key else {})
        try:
            answer = pool.request(method, url + path, json=body, headers=headers)
            return answer.status, answer.json()
        except (urllib3.exceptions.HTTPError, ValueError) as error:
            return CONNECTION_ERROR, repr(error)

    def get(self, person: Person, path: str) -> Any:
        """What the API answers, once it answers 200."""
        deadline = time.monotonic() + GIVE_UP_SECONDS
        while (answered := self.call(person, "GET", path))[0] != 200:
            assert time.monotonic() < deadline, answered
            time.sleep(RETRY_SECONDS)
        return answered[1]

    def find_trades(self, person: Person) -> list[Json]:
        """A customer's trades, oldest first."""
        found: list[Json] = []
        cursor = ""
        while cursor is not None:
            page = self.get(person, f"/api/v1/trades?limit=500{cursor and '&cursor='}{cursor}")
            found += page["results"]
            cursor = page["next"]
        return found[::-1]

    def wait_until_final(self, seconds_max: float) -> None:
        """Wait until every trade of everybody is final, or so long."""
        deadline = time.monotonic() + seconds_max
        open_still = list(self.people)
        with ThreadPoolExecutor(4) as pool:
            while open_still and time.monotonic() < deadline:
                time.sleep(POLL_SECONDS)
                found = pool.map(self.find_trades, open_still)
                open_still = [
                    person
                    for person, trades in zip(open_still, list(found), strict=True)
                    if any(trade["status"] not in FINAL for trade in trades)
                ]

    def testify(self, exchange_url: str, audit: Json) -> Evidence:
        """Collect all evidence."""
        with ThreadPoolExecutor(4) as pool:

            def of_all(read: Any) -> dict[int, Any]:
                return {
                    person.id: found for person, found in zip(self.people, pool.map(read, self.people), strict=True)
                }

            return Evidence(
                self.people,
                self.placed,
                of_all(self.find_trades),
                of_all(lambda person: self.get(person, "/api/v1/balance")),
                of_all(lambda person: self.get(person, "/api/v1/positions")),
                exchange_record(exchange_url),
                audit,
            )


def exchange_record(url: str) -> list[Json]:
    """The exchange's own record, in order of arrival."""
    found: list[Json] = []
    after = 0
    while after is not None:
        page = urllib3.request("GET", f"{url}/v1/trades?after={after}&limit=1000").json()
        found += page["results"]
        after = page["next"]
    return found


def moment(text: str) -> float:
    """An RFC 3339 time as epoch seconds."""
    return datetime.fromisoformat(text).timestamp()


# -- the checker


def violations(evidence: Evidence) -> list[str]:
    """Return a description of every broken promise."""
    received: dict[str, list[Json]] = defaultdict(list)
    for entry in evidence.exchange:
        received[entry["tradeId"]].append(entry)
    found = [f"the audit says: {violation}" for violation in evidence.audit.get("violations", [])]
    if evidence.audit.get("ok") is not True:
        found.append("the audit does not say that all is well")
    for person in evidence.people:
        placed = sorted((one for one in evidence.placed if one.person == person.id), key=lambda one: one.number)
        trades = evidence.trades[person.id]
        found += [f"customer {person.id}: {words}" for words in _of_placings(placed, trades)]
        found += [f"customer {person.id}: {words}" for words in _of_the_exchange(trades, received)]
        found += [f"customer {person.id}: {words}" for words in _of_the_books(person, trades, evidence)]
    return found


def _of_placings(placed: Sequence[Placed], trades: Sequence[Json]) -> Iterable[str]:
    by_id = {trade["tradeId"]: trade for trade in trades}
    for one in placed:
        trade = by_id.get(one.answer["tradeId"])
        if trade is None:
            yield f"lost: {one.answer['tradeId']} was answered and is not there"
        elif {name: trade[name] for name in one.body} != one.body:
            yield f"changed: {trade['tradeId']} was placed as {one.body} and is {trade}"
    if len(by_id) != len(placed) or len(trades) != len(placed):
        yield f"{len(placed)} trades were placed, {len(trades)} are there"
    order = [one.answer["tradeId"] for one in placed]
    if [trade["tradeId"] for trade in trades if trade["tradeId"] in set(order)] != [id for id in order if id in by_id]:
        yield "out of order: the line is not as it was placed"
    for trade in trades:
        if trade["status"] not in FINAL:
            yield f"not final: {trade['tradeId']} is {trade['status']}"


def _of_the_exchange(trades: Sequence[Json], received: dict[str, list[Json]]) -> Iterable[str]:
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
    # A trade of ours in its order of placing, as the exchange received it.
    sent = [entry for trade in trades for entry in received.get(trade["tradeId"], [])]
    for before, after in pairwise(sent):
        if before["sequence"] > after["sequence"]:
            yield f"out of order: the exchange received {after['tradeId']} before {before['tradeId']}"
        elif before["finalAt"] is None or moment(after["firstReceivedAt"]) < moment(before["finalAt"]):
            yield f"two in flight: {after['tradeId']} came before {before['tradeId']} was final"


def _of_the_books(person: Person, trades: Sequence[Json], evidence: Evidence) -> Iterable[str]:
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
    """How long a trade took once nothing of its customer's was before it: what a fault may lengthen. Epoch seconds."""

    began: float
    ended: float

    @property
    def seconds(self) -> float:
        return self.ended - self.began


def waits(evidence: Evidence) -> list[Wait]:
    """Every trade's wait, from when it was first asked for, or the trade before it was final, to when it was final."""
    asked = {one.answer["tradeId"]: one.asked_at for one in evidence.placed}
    found = []
    for trades in evidence.trades.values():
        before = 0.0
        for trade in trades:
            ended = moment(trade["settledAt"])
            found.append(Wait(max(before, asked[trade["tradeId"]]), ended))
            before = ended
    return found


def longest_delays(evidence: Evidence, kills: Sequence[float]) -> list[float]:
    """For each kill the longest wait that it fell into, less the usual one; seconds."""
    every = waits(evidence)
    usual = statistics.median(wait.seconds for wait in every)
    return [
        max((wait.seconds - usual for wait in every if wait.began <= kill <= wait.ended), default=0.0) for kill in kills
    ]


def figures(evidence: Evidence) -> Json:
    """How many trades, how fast: seconds from the first placing to the last end, and from placed to final."""
    trades = [trade for trades in evidence.trades.values() for trade in trades]
    took = sorted(moment(trade["settledAt"]) - moment(trade["createdAt"]) for trade in trades)
    began = min(one.asked_at for one in evidence.placed)
    seconds = max(moment(trade["settledAt"]) for trade in trades) - began
    return {
        "trades": len(trades),
        "filled": sum(trade["status"] == "FILLED" for trade in trades),
        "seconds": round(seconds, 1),
        "trades/s": round(len(trades) / seconds, 1),
        "p50 placed→final": f"{took[len(took) // 2]:.2f} s",
        "p99": f"{took[int(len(took) * 0.99)]:.2f} s",
        "p50 wait": f"{statistics.median(wait.seconds for wait in waits(evidence)):.2f} s",
    }
