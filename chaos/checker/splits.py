"""Checks splits: each holder is reached once, with whole shares and cash for the rest, while no trade is open.

The order of things follows from the ids of postings and events, not from times, because clocks may be wrong.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from decimal import Decimal

from chaos.checker.case import Case
from chaos.checker.evidence import FINAL, Json

CASH = ""
UNPOSTED = 2**63
"""The posting id of a fill that has no posting: after all others."""

Fill = tuple[int, int]
"""The id of its posting, and the change of shares."""


def after_splits(case: Case, customer: int, ticker: str, fills: list[Fill]) -> tuple[int, Decimal]:
    """Return the shares after these fills and all splits, and the total cash in lieu of fractions, USD."""
    held, cash = 0, Decimal(0)
    steps: list[tuple[int, int | Json]] = [*fills]
    steps += [(_boundary(case, action, customer), action) for action in _splits(case) if action["ticker"] == ticker]
    for _, step in sorted(steps, key=lambda step: step[0]):
        if isinstance(step, int):
            held += step
        else:
            held, in_lieu = outcome(step, held)
            cash += in_lieu
    return held, cash


def outcome(action: Json, shares: int) -> tuple[int, Decimal]:
    """Return what a split makes of this many shares: the whole shares, and the cash for the remaining fraction, USD."""
    quotient, remainder = divmod(shares * action["numerator"], action["denominator"])
    in_lieu = (action["reference_price"] or Decimal(0)) * remainder / action["denominator"]
    return int(quotient), Decimal(in_lieu).quantize(Decimal("0.0001"))


def splits_reached_each_holder_once(case: Case) -> Iterator[str]:
    """Yield unfinished splits, holders that were left out or reached twice, and wrong entitlements and postings."""
    posted: dict[str, list[Json]] = defaultdict(list)
    for posting in case.evidence.postings:
        posted[posting["cause"]].append(posting)
    for action in _splits(case):
        if action["state"] != "done":
            yield f"the split of {action['ticker']} is {action['state']}"
        reached: dict[int, list[Json]] = defaultdict(list)
        for row in case.evidence.entitlements:
            if row["action"] == action["id"]:
                reached[row["customer"]].append(row)
        held = _held_before(case, action)
        for customer in held.keys() | reached.keys():
            rows, shares = reached.get(customer, []), held.get(customer, 0)
            after, cash = outcome(action, shares)
            expected = [(shares, after, cash)] if after != shares or cash else []
            if [(row["shares"], row["shares_after"], row["cash"]) for row in rows] != expected:
                yield f"customer {customer} held {shares} {action['ticker']}, but received {rows} from the split"
            for row in rows:
                found = sorted((posting["ticker"], posting["kind"], posting["change"]) for posting in posted[row["id"]])
                moves = [(CASH, "split", cash), (action["ticker"], "split", Decimal(after - shares))]
                if found != [move for move in moves if move[2]]:
                    yield f"customer {customer}: the split of {shares} {action['ticker']} is posted as {found}"


def no_trade_was_open_during_a_split(case: Case) -> Iterator[str]:
    """Yield trades of a holder that were placed before the split reached the holder and ended after it."""
    history: dict[str, list[Json]] = defaultdict(list)
    for change in case.evidence.status_changes:
        history[change["trade"]].append(change)
    tickers = {action["id"]: action["ticker"] for action in _splits(case)}
    for row in case.evidence.entitlements:
        for trade in case.lines.get(row["customer"], []):
            if trade["ticker"] != tickers.get(row["action"]):
                continue
            changes = history[trade["id"]]
            began = min((change["id"] for change in changes), default=row["event"])
            ended = max((change["id"] for change in changes if change["to_status"] in FINAL), default=began)
            if began < row["event"] < ended:
                yield f"{trade['id']} was open while {trade['ticker']} was split"


def _splits(case: Case) -> list[Json]:
    return [action for action in case.evidence.actions if action["kind"] == "SPLIT" and action["state"] != "declined"]


def _boundary(case: Case, action: Json, customer: int) -> int:
    """Return the id of the posting with which a split reached a customer; if it did not, of the last one of the split.

    The stock is halted during the split, so each fill comes before all postings of the split, or after all of them.
    """
    rows = {row["id"]: row["customer"] for row in case.evidence.entitlements if row["action"] == action["id"]}
    places = [(posting["id"], rows[posting["cause"]]) for posting in case.evidence.postings if posting["cause"] in rows]
    own_positions = [position for position, owner in places if owner == customer]
    return min(own_positions) if own_positions else max((position for position, _ in places), default=UNPOSTED)


def _held_before(case: Case, action: Json) -> dict[int, int]:
    """Return the shares that each of our customers held when the stock was split, according to earlier postings."""
    held: dict[int, int] = defaultdict(int)
    boundaries = {customer: _boundary(case, action, customer) for customer in case.lines}
    for posting in case.evidence.postings:
        customer = posting["customer"]
        if posting["ticker"] == action["ticker"] and posting["id"] < boundaries.get(customer, 0):
            held[customer] += int(posting["change"])
    return held
