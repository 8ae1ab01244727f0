"""Proves, from three witnesses, that nothing was lost, doubled, stuck or below zero, and who never believed us.

The witnesses: the record of every request with its answer; the exchange's own record; the tables, read with SQL of our
own. Nothing of the brokerage's code is used. `violations` says in words what was broken; `figures` how long it took.

The exchange can contradict itself: its record says one thing and a signed report of it another (`contradictRate`).
Which of the two comes first is the network's context, and a broker takes the first. So the books must follow the first
final report that kept to the terms; where that one is not in the exchange's record, the trade is counted under
`exchangeContradictedItself`, and must fall into a time in which the exchange was told to do so.
"""

from __future__ import annotations

import json
import statistics
import time
from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from itertools import pairwise
from typing import Any

import psycopg
import urllib3
from psycopg.rows import dict_row

from chaos.record import Record, read

Json = dict[str, Any]

FINAL = {"FILLED", "REJECTED"}
NO_ANSWER = 0
FINAL_SECONDS_MAX = 240.0
CASH = ""
CONTRADICTION_SECONDS = 120.0
"""A false report can come this long after the exchange was told to make some: it waits for whoever is away."""
SWITCH_SECONDS = 1.0
"""Until every door keeps to a switch."""
CLAIM_SECONDS = 10.0
"""Until every lane does: one that is frozen with its claim on the way takes that long."""
STATUSES_ALLOWED = {NO_ANSWER, 200, 201, 204, 404, 405, 409, 422, 429, 503}


@dataclass
class Evidence:
    """What the witnesses said. Times are epoch seconds, money Decimal; rows as their tables have them."""

    accounts: list[Json] = field(default_factory=list)  # customer, cash, cause: how each account was opened
    requests: list[Json] = field(default_factory=list)
    faults: list[Json] = field(default_factory=list)
    trades: list[Json] = field(default_factory=list)
    moves: list[Json] = field(default_factory=list)
    reports: list[Json] = field(default_factory=list)
    postings: list[Json] = field(default_factory=list)
    transfers: list[Json] = field(default_factory=list)
    balances: list[Json] = field(default_factory=list)
    positions: list[Json] = field(default_factory=list)
    exchange: list[Json] = field(default_factory=list)


TABLES = {
    "trades": """
        SELECT id::text, customer_id AS customer, sequence, ticker, type, quantity, idempotency_key AS key, status,
               price, amount, max_price, reason_code, extract(epoch FROM placed_at)::float8 AS placed_at,
               extract(epoch FROM claimed_at)::float8 AS claimed_at,
               extract(epoch FROM settled_at)::float8 AS settled_at
        FROM trades_trade ORDER BY customer_id, sequence""",
    "moves": """
        SELECT id, trade_id::text AS trade, from_status, to_status, by, extract(epoch FROM at)::float8 AS at
        FROM trades_statuschange ORDER BY id""",
    "reports": """
        SELECT id, trade_id::text AS trade, customer_id AS customer, body, source, outcome,
               extract(epoch FROM received_at)::float8 AS received_at
        FROM trades_report ORDER BY id""",
    "postings": """
        SELECT id, customer_id AS customer, ticker, kind, cause::text, change, total, price
        FROM accounts_posting ORDER BY id""",
    "transfers": """
        SELECT id::text, customer_id AS customer, type, amount, idempotency_key AS key
        FROM accounts_transfer""",
    "balances": "SELECT customer_id AS customer, amount, held FROM accounts_balance",
    "positions": "SELECT customer_id AS customer, ticker, quantity, held FROM accounts_position",
}


def read_tables(database_url: str) -> dict[str, list[Json]]:
    """Every table that counts, as of one instant."""
    with psycopg.connect(database_url, row_factory=dict_row) as connection:
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        return {name: connection.execute(statement).fetchall() for name, statement in TABLES.items()}


def read_exchange(url: str) -> list[Json]:
    """The exchange's own record, in order of arrival."""
    found: list[Json] = []
    after = 0
    while after is not None:
        page = urllib3.request("GET", f"{url}/v1/trades?after={after}&limit=1000", retries=False, timeout=30.0).json()
        found += page["results"]
        after = page["next"]
    return found


def gather(accounts: list[Json], log: Record, database_url: str, exchange_url: str) -> Evidence:
    """Ask every witness about these accounts."""
    return Evidence(
        accounts=accounts,
        requests=read(log.requests),
        faults=read(log.faults),
        exchange=read_exchange(exchange_url),
        **read_tables(database_url),
    )


def wait_until_final(database_url: str, seconds_max: float = FINAL_SECONDS_MAX) -> float:
    """Wait until no trade is open, or so long; when that was, by the monotonic clock."""
    deadline = time.monotonic() + seconds_max
    while time.monotonic() < deadline:
        with suppress(psycopg.Error), psycopg.connect(database_url, connect_timeout=3) as connection:
            row = connection.execute("SELECT count(*) FROM trades_trade WHERE status IN ('PLACED', 'IN PROGRESS')")
            if row.fetchone() == (0,):
                break
        time.sleep(0.2)
    return time.monotonic()


def epoch(text: str) -> float:
    """An RFC 3339 time as epoch seconds."""
    return datetime.fromisoformat(text).timestamp()


# -- what was broken


def violations(told: Evidence) -> list[str]:
    """Every promise that was broken, in words; none where all is well."""
    case = _Case(told)
    return [f"{check.__name__.strip('_').replace('_', ' ')}: {words}" for check in CHECKS for words in check(case)]


class _Case:
    """The evidence, by what one looks it up with."""

    def __init__(self, told: Evidence) -> None:
        self.told = told
        ours = {account["customer"] for account in told.accounts}
        self.trades = [trade for trade in told.trades if trade["customer"] in ours]
        self.by_id = {trade["id"]: trade for trade in self.trades}
        self.known = {trade["id"] for trade in told.trades}
        self.lines: dict[int, list[Json]] = defaultdict(list)
        for trade in sorted(self.trades, key=lambda trade: trade["sequence"]):
            self.lines[trade["customer"]].append(trade)
        self.at_exchange: dict[str, list[Json]] = defaultdict(list)
        for entry in told.exchange:
            self.at_exchange[entry["tradeId"]].append(entry)
        self.placings = [r for r in told.requests if (r["method"], r["path"]) == ("POST", "/api/v1/trades")]
        self.transfers = {t["id"]: t for t in told.transfers if t["customer"] in ours}
        self.movings = [r for r in told.requests if r["path"] in {"/api/v1/deposits", "/api/v1/withdrawals"}]
        self.reports: dict[str, list[Json]] = defaultdict(list)
        for report in told.reports:
            self.reports[report["trade"]].append(report)
        self.contradictions = _contradicted(self)


def _every_placing_that_was_answered_is_there_once(case: _Case) -> Iterator[str]:
    explained: set[str] = set()
    id_of: dict[tuple[int, str], str] = {}
    in_doubt: Counter[tuple[int, str, str, str, int]] = Counter()
    for asked in case.placings:
        body, who = asked["body"], (asked["customer"], asked["key"])
        terms = (body["stockTicker"], body["type"], body["quantity"])
        if asked["status"] in (200, 201):
            answer = asked["answer"]
            trade = case.by_id.get(answer["tradeId"])
            if trade is None:
                yield f"lost: {answer['tradeId']} was answered {asked['status']} and is not there"
                continue
            explained.add(trade["id"])
            if trade["customer"] != asked["customer"]:
                yield f"{trade['id']} was placed by {asked['customer']} and belongs to {trade['customer']}"
            if (trade["ticker"], trade["type"], trade["quantity"]) != terms:
                yield f"{trade['id']} was placed as {terms} and has other terms"
            if asked["status"] == 201 and answer["status"] != "PLACED":
                yield f"{trade['id']} was answered 201 as {answer['status']}"
            if asked["key"] and id_of.setdefault(who, trade["id"]) != trade["id"]:
                yield f"doubled: key {asked['key']} made {id_of[who]} and {trade['id']}"
        elif asked["status"] in (NO_ANSWER, 503):
            in_doubt[(asked["customer"], asked["key"], *terms)] += 1
    for trade in case.trades:
        if trade["id"] in explained:
            continue
        key = trade["key"] or ""
        doubt = (trade["customer"], key, trade["ticker"], trade["type"], trade["quantity"])
        if (trade["customer"], key) in id_of:
            yield f"doubled: {trade['id']} has key {key}, which made {id_of[(trade['customer'], key)]}"
        elif in_doubt[doubt] < 1:
            yield f"{trade['id']} is there, and nobody asked for it"
        else:
            in_doubt[doubt] = 0 if key else in_doubt[doubt] - 1


def _a_line_has_no_gap_and_is_in_the_order_of_placing(case: _Case) -> Iterator[str]:
    for customer, line in case.lines.items():
        if [trade["sequence"] for trade in line] != list(range(1, len(line) + 1)):
            yield f"customer {customer}: numbers are {[trade['sequence'] for trade in line][:20]}…"
    # Of two placings of a customer, the one that was answered before the other was asked for comes first. A key that
    # was asked for several times was placed between the first time it was asked for and the first answer.
    first_asked: dict[Any, float] = {}
    first_answer: dict[str, tuple[float, float]] = {}
    for asked in sorted(case.placings, key=lambda asked: asked["began"]):
        name = (asked["customer"], asked["key"]) if asked["key"] else id(asked)
        first_asked.setdefault(name, asked["began"])
        if asked["status"] in (200, 201):
            trade_id = asked["answer"]["tradeId"]
            began, ended = first_answer.get(trade_id, (first_asked[name], asked["ended"]))
            first_answer[trade_id] = began, min(ended, asked["ended"])
    for customer, line in case.lines.items():
        latest_asked, latest = float("-inf"), ""
        for trade in line:
            if trade["id"] not in first_answer:
                continue
            began, ended = first_answer[trade["id"]]
            if ended < latest_asked:
                yield f"customer {customer}: {trade['id']} was answered before {latest} was asked for, and is behind it"
            if began > latest_asked:
                latest_asked, latest = began, trade["id"]


def _the_exchange_received_a_line_in_order_and_one_at_a_time(case: _Case) -> Iterator[str]:
    for trade_id, entries in case.at_exchange.items():
        if len(entries) > 1:
            yield f"{trade_id} is {len(entries)} times in the exchange's record"
        if trade_id not in case.known:
            yield f"{trade_id} is in the exchange's record and not in ours"
    for line in case.lines.values():
        sent = [(trade, entry) for trade in line for entry in case.at_exchange.get(trade["id"], [])]
        for (before, earlier), (after, later) in pairwise(sent):
            if earlier["sequence"] > later["sequence"]:
                yield f"out of order: {after['id']} came before {before['id']}"
            elif earlier["finalAt"] is None or _is_before(case, later["firstReceivedAt"], earlier["finalAt"]):
                yield f"two in flight: {after['id']} came before {before['id']} was final"


def _is_before(case: _Case, one: str, other: str) -> bool:
    """Whether the exchange certainly wrote one time before the other: not where its clock was off when it did."""
    moments = [epoch(one), epoch(other)]
    for fault in case.told.faults:
        if fault["kind"] == "exchange clock":
            off = abs(fault["values"]["jumpSeconds"]) + 2.0
            if any(fault["began"] - off < moment < fault["ended"] + off for moment in moments):
                return False
    return moments[0] < moments[1]


def _every_trade_is_final(case: _Case) -> Iterator[str]:
    for trade in case.trades:
        if trade["status"] not in FINAL:
            yield f"{trade['id']} is {trade['status']}"


def _a_trade_ended_as_the_exchange_says(case: _Case) -> Iterator[str]:
    for trade in case.trades:
        entry = next(iter(case.at_exchange.get(trade["id"], [])), None)
        if trade["id"] in case.contradictions or trade["status"] not in FINAL:
            continue
        if entry is None:
            if trade["status"] == "FILLED":
                yield f"{trade['id']} is FILLED, and the exchange never had it"
        elif entry["status"] not in FINAL:
            yield f"{trade['id']} is {trade['status']}, and at the exchange {entry['status']}"
        elif trade["claimed_at"] is None:
            yield f"{trade['id']} was never claimed, and the exchange has it"
        elif entry["status"] != trade["status"]:
            yield f"{trade['id']} is {trade['status']}, and at the exchange {entry['status']}"
        elif entry["status"] == "FILLED" and (Decimal(entry["price"]), Decimal(entry["amount"])) != (
            trade["price"],
            trade["amount"],
        ):
            yield f"{trade['id']} was executed at {entry['price']}, and is booked at {trade['price']}"


def _contradicted(case: _Case) -> set[str]:
    """The trades whose first final report that kept to the terms is one that the exchange's record denies.

    Only where the exchange was told to contradict itself, and only where the books follow that report to the letter.
    """
    windows = [
        (fault["began"], fault["ended"] + CONTRADICTION_SECONDS)
        for fault in case.told.faults
        if fault["kind"] == "exchange" and "contradictRate" in fault["values"]
    ]
    found = set()
    for trade in case.trades:
        entry = next(iter(case.at_exchange.get(trade["id"], [])), None)
        if entry is None or trade["status"] not in FINAL:
            continue
        for report in case.reports.get(trade["id"], []):
            word = json.loads(report["body"])
            if word["quantity"] != trade["quantity"] or word["status"] not in FINAL:
                continue
            follows = word["status"] == trade["status"] and (
                word["status"] == "REJECTED"
                or (Decimal(word["price"]), Decimal(word["amount"])) == (trade["price"], trade["amount"])
            )
            is_false = word["executionId"] != entry["executionId"]
            told_to = any(began <= report["received_at"] <= ended for began, ended in windows)
            if is_false and follows and told_to and report["outcome"] == "settled":
                found.add(trade["id"])
            # A BUY's false fill may cost more than its hold: then it breaks the terms, and the next report counts.
            if report["outcome"] == "settled":
                break
    return found


def _the_books_are_what_deposits_and_fills_make(case: _Case) -> Iterator[str]:
    cash: dict[int, Decimal] = defaultdict(Decimal)
    shares: dict[tuple[int, str], int] = defaultdict(int)
    for transfer in case.transfers.values():
        cash[transfer["customer"]] += transfer["amount"] if transfer["type"] == "deposit" else -transfer["amount"]
    for trade in case.trades:
        entry = next(iter(case.at_exchange.get(trade["id"], [])), None)
        if trade["id"] in case.contradictions:
            filled, amount = trade["status"] == "FILLED", trade["amount"]
        else:
            filled = entry is not None and entry["status"] == "FILLED"
            amount = Decimal(entry["amount"]) if entry is not None and filled else None
        if filled and amount is not None:
            sign = 1 if trade["type"] == "BUY" else -1
            cash[trade["customer"]] -= sign * amount
            shares[trade["customer"], trade["ticker"]] += sign * trade["quantity"]
    for balance in case.told.balances:
        if balance["customer"] in case.lines and balance["amount"] != cash[balance["customer"]]:
            yield f"customer {balance['customer']} has {balance['amount']} USD, should be {cash[balance['customer']]}"
        if balance["held"] != 0 and balance["customer"] in case.lines:
            yield f"customer {balance['customer']}: {balance['held']} USD are held for nothing"
    positions = {(row["customer"], row["ticker"]): row for row in case.told.positions if row["customer"] in case.lines}
    for who in positions.keys() | shares.keys():
        row = positions.get(who, {"quantity": 0, "held": 0})
        if row["quantity"] != shares[who]:
            yield f"customer {who[0]} has {row['quantity']} {who[1]}, should be {shares[who]}"
        if row["held"] != 0:
            yield f"customer {who[0]}: {row['held']} {who[1]} are held for nothing"


def _every_transfer_that_was_answered_is_there_once(case: _Case) -> Iterator[str]:
    opened = {account["cause"] for account in case.told.accounts}
    in_doubt: set[tuple[int, str]] = set()
    explained = set(opened)
    id_of: dict[tuple[int, str], str] = {}
    for asked in case.movings:
        who = asked["customer"], asked["key"]
        if asked["status"] in (200, 201):
            cause = asked["answer"]["causeId"]
            transfer = case.transfers.get(cause)
            if transfer is None:
                yield f"lost: {cause} was answered {asked['status']} and is not there"
            elif transfer["amount"] != Decimal(asked["body"]["amount"]):
                yield f"{cause} was of {asked['body']['amount']} USD and is of {transfer['amount']}"
            if id_of.setdefault(who, cause) != cause:
                yield f"doubled: key {asked['key']} made {id_of[who]} and {cause}"
            explained.add(cause)
        elif asked["status"] in (NO_ANSWER, 503):
            in_doubt.add(who)
    keys = Counter((transfer["customer"], transfer["key"]) for transfer in case.transfers.values() if transfer["key"])
    for who, number in keys.items():
        if number > 1:
            yield f"doubled: key {who[1]} made {number} transfers"
    for transfer in case.transfers.values():
        if transfer["id"] not in explained and (transfer["customer"], transfer["key"]) not in in_doubt:
            yield f"{transfer['id']} is there, and nobody asked for it"


def _nothing_was_below_zero_at_any_posting(case: _Case) -> Iterator[str]:
    total: dict[tuple[int, str], Decimal] = defaultdict(Decimal)
    for posting in sorted(case.told.postings, key=lambda posting: posting["id"]):
        who = posting["customer"], posting["ticker"]
        total[who] += posting["change"]
        if total[who] < 0:
            yield f"customer {who[0]} had {total[who]} {who[1] or 'USD'} at posting {posting['id']}"
        if total[who] != posting["total"]:
            yield f"posting {posting['id']} says it left {posting['total']}, and left {total[who]}"
    for balance in case.told.balances:
        if not 0 <= balance["held"] <= balance["amount"]:
            yield f"customer {balance['customer']}: {balance['held']} held of {balance['amount']} USD"
        if balance["amount"] != total[balance["customer"], CASH]:
            yield f"customer {balance['customer']}: {balance['amount']} USD, its postings make another sum"
    for row in case.told.positions:
        if not 0 <= row["held"] <= row["quantity"]:
            yield f"customer {row['customer']}: {row['held']} held of {row['quantity']} {row['ticker']}"
        if row["quantity"] != total[row["customer"], row["ticker"]]:
            yield f"customer {row['customer']}: {row['quantity']} {row['ticker']}, postings make another number"


def _a_fill_is_posted_once_at_its_price_and_nothing_else_is(case: _Case) -> Iterator[str]:
    posted: dict[str, list[Json]] = defaultdict(list)
    for posting in case.told.postings:
        posted[posting["cause"]].append(posting)
    for trade in case.trades:
        found = sorted((p["ticker"], p["kind"], p["change"], p["price"]) for p in posted.get(trade["id"], []))
        expected = []
        if trade["status"] == "FILLED":
            sign = 1 if trade["type"] == "BUY" else -1
            expected = [
                (CASH, trade["type"].lower(), -sign * trade["amount"], trade["price"]),
                (trade["ticker"], trade["type"].lower(), Decimal(sign * trade["quantity"]), trade["price"]),
            ]
        if found != expected:
            yield f"{trade['id']} is {trade['status']} and is posted as {found}"
    known = case.by_id.keys() | case.transfers.keys()
    ours = {account["customer"] for account in case.told.accounts}
    for posting in case.told.postings:
        if posting["customer"] in ours and posting["cause"] not in known:
            yield f"posting {posting['id']} is caused by nothing that is there"


def _what_was_told_as_final_stayed(case: _Case) -> Iterator[str]:
    for asked in case.told.requests:
        if asked["status"] not in (200, 201) or not asked["path"].startswith("/api/v1/trades"):
            continue
        answer = asked["answer"]
        shown = answer["results"] if isinstance(answer, dict) and "results" in answer else [answer]
        for seen in shown:
            trade = case.by_id.get(seen.get("tradeId"))
            if trade is None:
                if asked["method"] == "GET":
                    yield f"{seen.get('tradeId')} was shown and is not there"
                continue
            if trade["customer"] != asked["customer"]:
                yield f"{trade['id']} of customer {trade['customer']} was shown to {asked['customer']}"
            price = None if seen["price"] is None else Decimal(seen["price"])
            if seen["status"] in FINAL and (seen["status"], price, seen["reasonCode"] or "") != (
                trade["status"],
                trade["price"],
                trade["reason_code"],
            ):
                yield f"{trade['id']} was shown as {seen['status']} at {price}, and is {trade['status']}"


def _the_history_of_a_trade_is_whole(case: _Case) -> Iterator[str]:
    ways = {
        ("PLACED", ()): 1,
        ("PLACED", ("IN PROGRESS",)): 1,
        ("PLACED", ("REJECTED",)): 1,
        ("PLACED", ("IN PROGRESS", "FILLED")): 1,
        ("PLACED", ("IN PROGRESS", "REJECTED")): 1,
    }
    history: dict[str, list[Json]] = defaultdict(list)
    for move in case.told.moves:
        history[move["trade"]].append(move)
    for trade in case.trades:
        moves = sorted(history.get(trade["id"], []), key=lambda move: move["id"])
        way = [move["to_status"] for move in moves]
        if not way or (way[0], tuple(way[1:])) not in ways or way[-1] != trade["status"]:
            yield f"{trade['id']} is {trade['status']}, its history {way}"
    # As the ids of moves tell it, which are drawn under the customer's lock: a claim follows the end of the one ahead.
    for line in case.lines.values():
        last_end = 0
        for trade in line:
            moves = sorted(history.get(trade["id"], []), key=lambda move: move["id"])
            for move in moves:
                if move["to_status"] == "IN PROGRESS" and move["id"] < last_end:
                    yield f"{trade['id']} was claimed before the one ahead of it had ended"
            last_end = max([last_end, *(move["id"] for move in moves if move["to_status"] in FINAL)])


def _what_staff_halted_and_limited_was_not_done(case: _Case) -> Iterator[str]:
    for fault in case.told.faults:
        word = fault["values"]
        if fault["kind"] != "staff" or "since" not in word:
            continue
        since, until = word["since"] + SWITCH_SECONDS, word["until"]
        for asked in case.placings:
            trade = case.by_id.get(asked["answer"]["tradeId"]) if asked["status"] == 201 else None
            if trade is not None and since < asked["began"] < asked["ended"] < until and _is_against(word, trade, case):
                yield f"{trade['id']} was placed against {fault['target']}"
        if word["does"] in {"halt-all", "halt-stock"}:
            for trade in case.trades:
                claimed = trade["claimed_at"] is not None and since + CLAIM_SECONDS < trade["claimed_at"] < until
                if claimed and _is_against(word, trade, case):
                    yield f"{trade['id']} was claimed against {fault['target']}"


def _is_against(word: Json, trade: Json, case: _Case) -> bool:
    kind = word.get("kind")
    if kind == "shares_max":
        return trade["quantity"] > int(word["value"])
    if kind == "orders_a_minute_max":
        before = trade["sequence"] - int(word["value"])
        line = case.lines[trade["customer"]]
        return any(t["sequence"] == before and trade["placed_at"] - t["placed_at"] < 60 for t in line)
    return kind == "notional_max" or word.get("ticker", trade["ticker"]) == trade["ticker"]


def _answers_are_the_promised_ones(case: _Case) -> Iterator[str]:
    for asked in case.told.requests:
        what = f"{asked['method']} {asked['path']} at {asked['began']:.3f}"
        if asked["status"] not in STATUSES_ALLOWED:
            yield f"{what} was answered {asked['status']}: {str(asked['answer'])[:200]}"
        elif asked["status"] == 503 and not asked.get("retryAfter"):
            yield f"{what} was answered 503 without Retry-After: {str(asked['answer'])[:100]}"
        elif isinstance(asked["answer"], dict) and "notJson" in asked["answer"]:
            yield f"{what} was answered {asked['status']} with what is not JSON: {asked['answer']['notJson'][:100]}"


CHECKS: Sequence[Callable[[_Case], Iterable[str]]] = (
    _every_placing_that_was_answered_is_there_once,
    _a_line_has_no_gap_and_is_in_the_order_of_placing,
    _the_exchange_received_a_line_in_order_and_one_at_a_time,
    _every_trade_is_final,
    _a_trade_ended_as_the_exchange_says,
    _the_books_are_what_deposits_and_fills_make,
    _every_transfer_that_was_answered_is_there_once,
    _nothing_was_below_zero_at_any_posting,
    _a_fill_is_posted_once_at_its_price_and_nothing_else_is,
    _what_was_told_as_final_stayed,
    _the_history_of_a_trade_is_whole,
    _what_staff_halted_and_limited_was_not_done,
    _answers_are_the_promised_ones,
)


# -- how long it took


def figures(told: Evidence) -> Json:
    """How many trades, how they ended, and how long they took and were delayed, in seconds.

    A trade's wait is from when it was next in its customer's line until it was final. Its delay by a fault is what of
    its wait came after that fault was over; after the last one, what came after all faults that fell into its wait.
    """
    case = _Case(told)
    made = [fault for fault in told.faults if fault.get("done")]
    made.sort(key=lambda fault: fault["began"])
    begins = [fault["began"] for fault in made]
    longest = max((fault["ended"] - fault["began"] for fault in made), default=0.0)
    waits: list[float] = []
    after_last: list[float] = []
    by_kind: dict[str, list[float]] = defaultdict(list)
    for line in case.lines.values():
        ready = 0.0
        for trade in line:
            if trade["settled_at"] is None:
                continue
            ready, ended = max(ready, trade["placed_at"]), trade["settled_at"]
            waits.append(ended - ready)
            met = [
                fault
                for fault in made[bisect_left(begins, ready - longest) : bisect_left(begins, ended)]
                if fault["ended"] >= ready
            ]
            for fault in met:
                by_kind[_name(fault)].append(max(0.0, ended - max(ready, fault["ended"])))
            if met:
                after_last.append(max(0.0, ended - max(ready, *(fault["ended"] for fault in met))))
            ready = ended
    return {
        "trades": len(case.trades),
        "filled": sum(trade["status"] == "FILLED" for trade in case.trades),
        "rejected": dict(Counter(t["reason_code"] for t in case.trades if t["status"] == "REJECTED").most_common()),
        "requests": len(told.requests),
        "requestsWithoutAnswer": sum(asked["status"] == NO_ANSWER for asked in told.requests),
        "requestsAnswered503": sum(asked["status"] == 503 for asked in told.requests),
        "exchangeContradictedItself": len(case.contradictions),
        "waitSeconds": _spread(waits),
        "delayAfterTheLastFaultSeconds": _spread(after_last),
        "delayAfterSeconds": {kind: _spread(delays) for kind, delays in sorted(by_kind.items())},
    }


def _name(fault: Json) -> str:
    return f"{fault['kind']} {fault['target']}"


def _spread(values: list[float]) -> Json:
    if not values:
        return {"trades": 0}
    values.sort()
    return {
        "trades": len(values),
        "p50": round(statistics.median(values), 2),
        "p99": round(values[int(len(values) * 0.99)], 2),
        "max": round(values[-1], 2),
    }
