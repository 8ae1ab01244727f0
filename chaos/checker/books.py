"""Check the books: cash and shares are what transfers and fills make, and were never below zero."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from decimal import Decimal

from chaos.checker.case import Case
from chaos.checker.evidence import NO_ANSWER, Json

CASH = ""


def the_books_are_what_deposits_and_fills_make(case: Case) -> Iterator[str]:
    """Yield balances and positions that transfers and fills do not add up to, and holds that are left."""
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


def every_transfer_that_was_answered_is_there_once(case: Case) -> Iterator[str]:
    """Yield answered transfers that are missing or doubled, and transfers that nobody asked for."""
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


def nothing_was_below_zero_at_any_posting(case: Case) -> Iterator[str]:
    """Yield postings that left less than zero, and totals that postings do not add up to."""
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


def a_fill_is_posted_once_at_its_price_and_nothing_else_is(case: Case) -> Iterator[str]:
    """Yield fills that are not posted exactly once, and postings without a cause."""
    posted: dict[str, list[Json]] = defaultdict(list)
    for posting in case.told.postings:
        posted[posting["cause"]].append(posting)
    for trade in case.trades:
        of_trade = posted.get(trade["id"], [])
        fees = [p for p in of_trade if p["kind"] == "fee"]
        if len(fees) > 1 or any(p["ticker"] != CASH or not -(trade["amount"] or 0) <= p["change"] < 0 for p in fees):
            yield f"{trade['id']} is {trade['status']} and its fees are posted as {fees}"
        found = sorted((p["ticker"], p["kind"], p["change"], p["price"]) for p in of_trade if p["kind"] != "fee")
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
