"""Check splits: each holder once, whole shares by the ratio, the rest in cash, and no trade open meanwhile.

Numbers of postings and of events tell what came first, not times: clocks are among what goes wrong.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from decimal import Decimal

from chaos.checker.case import Case
from chaos.checker.evidence import FINAL, Json

CASH = ""
UNPOSTED = 2**63
"""The place of a fill that has no posting: behind all that have one."""

Fill = tuple[int, int]
"""The number of its posting, and the shares that it brought or took."""


def after_splits(case: Case, customer: int, ticker: str, fills: list[Fill]) -> tuple[int, Decimal]:
    """Return the shares that fills and splits make, and the cash in lieu of fractions, USD."""
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
    """Return what so many shares become, and what is paid for the fraction that is left, USD."""
    whole, rest = divmod(shares * action["numerator"], action["denominator"])
    in_lieu = (action["reference_price"] or Decimal(0)) * rest / action["denominator"]
    return int(whole), Decimal(in_lieu).quantize(Decimal("0.0001"))


def splits_reached_each_holder_once(case: Case) -> Iterator[str]:
    """Yield splits that are not done, holders who were left out or reached twice, and what they got wrongly."""
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
                yield f"customer {customer} held {shares} {action['ticker']}, and the split made of it {rows}"
            for row in rows:
                found = sorted((p["ticker"], p["kind"], p["change"]) for p in posted[row["id"]])
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
    """Return the number of the posting with which a split reached a customer, or all, where it never reached this one.

    The stock is halted meanwhile, so a customer's fills of it come before all of its postings, or after them.
    """
    rows = {row["id"]: row["customer"] for row in case.evidence.entitlements if row["action"] == action["id"]}
    places = [(p["id"], rows[p["cause"]]) for p in case.evidence.postings if p["cause"] in rows]
    mine = [place for place, whose in places if whose == customer]
    return min(mine) if mine else max((place for place, _ in places), default=UNPOSTED)


def _held_before(case: Case, action: Json) -> dict[int, int]:
    """Return what each of our customers held of a stock when it was split, by their postings until then."""
    held: dict[int, int] = defaultdict(int)
    boundaries = {customer: _boundary(case, action, customer) for customer in case.lines}
    for posting in case.evidence.postings:
        customer = posting["customer"]
        if posting["ticker"] == action["ticker"] and posting["id"] < boundaries.get(customer, 0):
            held[customer] += int(posting["change"])
    return held
