"""Checks the books: cash and shares match transfers and fills, and were never negative."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from decimal import Decimal

from chaos.checker.case import Case
from chaos.checker.evidence import NO_ANSWER, Json
from chaos.checker.fees import fee_of
from chaos.checker.splits import UNPOSTED, Fill, after_splits

CASH = ""


def books_match_transfers_and_fills(case: Case) -> Iterator[str]:
    """Yield balances and positions that don't match transfers, fills, fees and splits, and holds never released."""
    cash: dict[int, Decimal] = defaultdict(Decimal)
    moved: dict[tuple[int, str], list[Fill]] = defaultdict(list)
    posted = {(row["cause"], row["ticker"]): row["id"] for row in case.evidence.postings}
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
            cash[trade["customer"]] -= sign * amount + fee_of(case, trade, amount)
            position = posted.get((trade["id"], trade["ticker"]), UNPOSTED)
            moved[trade["customer"], trade["ticker"]].append((position, sign * trade["quantity"]))
    shares: dict[tuple[int, str], int] = defaultdict(int)
    for (customer, ticker), fills in moved.items():
        shares[customer, ticker], in_lieu = after_splits(case, customer, ticker, fills)
        cash[customer] += in_lieu
    for balance in case.evidence.balances:
        if balance["customer"] in case.lines and balance["amount"] != cash[balance["customer"]]:
            yield f"customer {balance['customer']} has {balance['amount']} USD, should be {cash[balance['customer']]}"
        if balance["held"] != 0 and balance["customer"] in case.lines:
            yield f"customer {balance['customer']}: {balance['held']} USD are still held"
    positions = {
        (row["customer"], row["ticker"]): row for row in case.evidence.positions if row["customer"] in case.lines
    }
    for customer, ticker in positions.keys() | shares.keys():
        row = positions.get((customer, ticker), {"quantity": 0, "held": 0})
        expected = shares[customer, ticker]
        if row["quantity"] != expected:
            yield f"customer {customer} has {row['quantity']} {ticker}, should be {expected}"
        if row["held"] != 0:
            yield f"customer {customer}: {row['held']} {ticker} are still held"


def answered_transfers_exist_exactly_once(case: Case) -> Iterator[str]:
    """Yield transfers that were answered but are missing or duplicated, and transfers that nobody requested."""
    opened = {account["cause"] for account in case.evidence.accounts}
    in_doubt: set[tuple[int, str]] = set()
    explained = set(opened)
    id_of: dict[tuple[int, str], str] = {}
    for request in case.transfer_requests:
        customer_key = request["customer"], request["key"]
        if request["status"] in (200, 201):
            cause = request["answer"]["causeId"]
            transfer = case.transfers.get(cause)
            if transfer is None:
                yield f"lost: {cause} was answered {request['status']} and is not there"
            elif transfer["amount"] != Decimal(request["body"]["amount"]):
                yield f"{cause} was of {request['body']['amount']} USD and is of {transfer['amount']}"
            if id_of.setdefault(customer_key, cause) != cause:
                yield f"doubled: key {request['key']} made {id_of[customer_key]} and {cause}"
            explained.add(cause)
        elif request["status"] in (NO_ANSWER, 503):
            in_doubt.add(customer_key)
    keys = Counter((transfer["customer"], transfer["key"]) for transfer in case.transfers.values() if transfer["key"])
    for (_, key), number in keys.items():
        if number > 1:
            yield f"doubled: key {key} made {number} transfers"
    for transfer in case.transfers.values():
        if transfer["id"] not in explained and (transfer["customer"], transfer["key"]) not in in_doubt:
            yield f"{transfer['id']} exists, but nobody requested it"


def balances_never_went_negative(case: Case) -> Iterator[str]:
    """Yield postings that made a total negative, and totals that don't equal the sum of their postings."""
    total: dict[tuple[int, str], Decimal] = defaultdict(Decimal)
    for posting in sorted(case.evidence.postings, key=lambda posting: posting["id"]):
        customer, ticker = posting["customer"], posting["ticker"]
        total[customer, ticker] += posting["change"]
        remaining = total[customer, ticker]
        if remaining < 0:
            yield f"customer {customer} had {remaining} {ticker or 'USD'} at posting {posting['id']}"
        if remaining != posting["total"]:
            yield f"posting {posting['id']} has the total {posting['total']}, should be {remaining}"
    for balance in case.evidence.balances:
        if not 0 <= balance["held"] <= balance["amount"]:
            yield f"customer {balance['customer']}: {balance['held']} held of {balance['amount']} USD"
        if balance["amount"] != total[balance["customer"], CASH]:
            yield f"customer {balance['customer']}: {balance['amount']} USD, but the postings have another sum"
    for row in case.evidence.positions:
        if not 0 <= row["held"] <= row["quantity"]:
            yield f"customer {row['customer']}: {row['held']} held of {row['quantity']} {row['ticker']}"
        if row["quantity"] != total[row["customer"], row["ticker"]]:
            yield f"customer {row['customer']}: {row['quantity']} {row['ticker']}, but the postings have another sum"


def fills_are_posted_exactly_once_at_their_price(case: Case) -> Iterator[str]:
    """Yield fills that are not posted exactly once, and postings without a cause."""
    posted: dict[str, list[Json]] = defaultdict(list)
    for posting in case.evidence.postings:
        posted[posting["cause"]].append(posting)
    for trade in case.trades:
        of_trade = posted.get(trade["id"], [])
        fees = [(entry["ticker"], entry["change"]) for entry in of_trade if entry["kind"] == "fee"]
        due = fee_of(case, trade, trade["amount"]) if trade["status"] == "FILLED" else Decimal(0)
        if fees != ([(CASH, -due)] if due else []):
            yield f"{trade['id']} is {trade['status']}, but its fees of {due} are posted as {fees}"
        actual = sorted(
            (entry["ticker"], entry["kind"], entry["change"], entry["price"])
            for entry in of_trade
            if entry["kind"] != "fee"
        )
        expected = []
        if trade["status"] == "FILLED":
            sign = 1 if trade["type"] == "BUY" else -1
            expected = [
                (CASH, trade["type"].lower(), -sign * trade["amount"], trade["price"]),
                (trade["ticker"], trade["type"].lower(), Decimal(sign * trade["quantity"]), trade["price"]),
            ]
        if actual != expected:
            yield f"{trade['id']} is {trade['status']}, but is posted as {actual}"
    known = case.by_id.keys() | case.transfers.keys() | {row["id"] for row in case.evidence.entitlements}
    customer_ids = {account["customer"] for account in case.evidence.accounts}
    for posting in case.evidence.postings:
        if posting["customer"] in customer_ids and posting["cause"] not in known:
            yield f"posting {posting['id']} has no trade or transfer as its cause"
