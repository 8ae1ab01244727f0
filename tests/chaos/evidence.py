"""The evidence of a small fault suite run without violations."""

import json
from datetime import date
from decimal import Decimal
from typing import Any

from chaos.checker import Evidence

ALICE, BOB = 1, 2
START = 1_767_366_000.0  # 2026-01-02 15:00 UTC
PRICE = Decimal("10.0000")
CENT = Decimal("0.01")


def iso_time(seconds: float) -> str:
    return f"2026-01-02T15:{int(seconds) // 60:02d}:{seconds % 60:09.6f}Z"


def placing(number: int, status: int = 201, **more: Any) -> dict[str, Any]:
    response = {"tradeId": f"t{number}", "status": "PLACED", "price": None, "reasonCode": None}
    return {
        "customer": ALICE,
        "method": "POST",
        "path": "/api/v1/trades",
        "key": f"k{number}",
        "body": {"stockTicker": "AAPL", "type": "BUY", "quantity": 2},
        "began": START + number * 10,
        "ended": START + number * 10 + 0.5,
        "status": status,
        "answer": response if status in (200, 201) else None,
        "retryAfter": "2" if status == 503 else None,
    } | more


def trade(number: int) -> dict[str, Any]:
    return {
        "id": f"t{number}",
        "customer": ALICE,
        "sequence": number,
        "ticker": "AAPL",
        "type": "BUY",
        "quantity": 2,
        "key": f"k{number}",
        "status": "FILLED",
        "price": PRICE,
        "amount": 2 * PRICE,
        "reason_code": "",
        "placed_at": START + number * 10 + 0.2,
        "claimed_at": START + number * 10 + 1,
        "settled_at": START + number * 10 + 3,
    }


def report_body(number: int, **more: Any) -> dict[str, Any]:
    return {
        "tradeId": f"t{number}",
        "status": "FILLED",
        "quantity": 2,
        "price": "10.0000",
        "amount": "20.0000",
        "executionId": f"x{number}",
    } | more


def correct_evidence() -> Evidence:
    """Return evidence without violations: Alice deposited 100 USD, bought three times and withdrew 5; Bob is idle."""
    numbers = (1, 2, 3)
    cash = [
        ("o", "deposit", Decimal(100)),
        *((f"t{n}", "buy", -2 * PRICE) for n in numbers),
        ("w", "withdrawal", Decimal(-5)),
    ]
    changes: list[dict[str, Any]] = []
    total = Decimal(0)
    for cause, kind, change in cash:
        total += change
        price = PRICE if kind == "buy" else None
        changes.append({"ticker": "", "kind": kind, "cause": cause, "change": change, "total": total, "price": price})
        if kind == "buy":
            shares = Decimal(2 * int(cause[1:]))
            changes.append(
                {"ticker": "AAPL", "kind": "buy", "cause": cause, "change": Decimal(2), "total": shares, "price": PRICE}
            )
    withdrawal = placing(4) | {
        "path": "/api/v1/withdrawals",
        "body": {"amount": "5.0000"},
        "answer": {"causeId": "w"},
    }
    statuses = [(f"t{n}", status) for n in numbers for status in ("PLACED", "IN PROGRESS", "FILLED")]
    return Evidence(
        accounts=[{"customer": ALICE, "cash": "100", "cause": "o"}, {"customer": BOB, "cash": "0", "cause": "p"}],
        requests=[*(placing(n) for n in numbers), withdrawal],
        faults=[
            {
                "kind": "kill",
                "target": "lanes",
                "values": {},
                "began": START + 21.0,
                "ended": START + 21.5,
                "done": True,
            }
        ],
        trades=[trade(n) for n in numbers],
        status_changes=[{"id": n, "trade": id, "to_status": status} for n, (id, status) in enumerate(statuses, 1)],
        reports=[
            {
                "id": n,
                "trade": f"t{n}",
                "body": json.dumps(report_body(n)),
                "outcome": "settled",
                "received_at": START + n * 10 + 2.5,
            }
            for n in numbers
        ],
        postings=[{"id": n, "customer": ALICE} | change for n, change in enumerate(changes, 1)],
        transfers=[
            {"id": "o", "customer": ALICE, "type": "deposit", "amount": Decimal(100), "key": None},
            {"id": "w", "customer": ALICE, "type": "withdrawal", "amount": Decimal(5), "key": "k4"},
        ],
        balances=[{"customer": ALICE, "amount": Decimal(35), "held": Decimal(0)}],
        positions=[{"customer": ALICE, "ticker": "AAPL", "quantity": 6, "held": 0}],
        exchange=[
            report_body(n) | {"sequence": n, "firstReceivedAt": iso_time(n * 10 + 1.1), "finalAt": iso_time(n * 10 + 2)}
            for n in numbers
        ],
    )


def with_a_split(evidence: Evidence) -> None:
    """Add a 3-for-4 split of Alice's 6 AAPL: she has 4 then, and 5 USD for half a share."""
    terms = {"numerator": 3, "denominator": 4, "reference_price": PRICE}
    evidence.actions.append({"id": "s", "kind": "SPLIT", "ticker": "AAPL", "state": "done"} | terms)
    result = {"shares": 6, "shares_after": 4, "cash": Decimal("5.0000"), "event": len(evidence.status_changes) + 1}
    evidence.entitlements.append({"id": "e", "action": "s", "customer": ALICE} | result)
    number = len(evidence.postings)
    postings = [("AAPL", Decimal(-2), Decimal(4)), ("", Decimal(5), Decimal(40))]
    evidence.postings += [
        {"id": number + n, "customer": ALICE, "ticker": ticker, "kind": "split", "cause": "e"}
        | {"change": change, "total": total, "price": Decimal(0) if ticker else None}
        for n, (ticker, change, total) in enumerate(postings, 1)
    ]
    evidence.positions[0]["quantity"], evidence.balances[0]["amount"] = 4, Decimal(40)


def with_fees(evidence: Evidence) -> None:
    """Let a fee on both sides come into force on the day when Alice bought: a cent for each of her three trades."""
    day = date(2026, 1, 2)
    no_rate = {"per_usd": Decimal(0), "last_day": None, "maximum": None}
    evidence.fee_rates += [
        no_rate | {"kind": "cat", "first_day": date(2026, 1, 1), "per_share": Decimal("0.004")},
        no_rate | {"kind": "cat", "first_day": day, "per_share": Decimal("0.00001")},
        no_rate | {"kind": "cat", "first_day": date(2026, 1, 3), "per_share": Decimal(1)},
        no_rate | {"kind": "sec", "first_day": day, "per_share": Decimal(1)},
    ]
    before, evidence.postings, paid = evidence.postings, [], Decimal(0)
    for posting in before:
        is_cash = posting["ticker"] == ""
        evidence.postings.append(posting | ({"total": posting["total"] - paid} if is_cash else {}))
        if is_cash and posting["kind"] == "buy":
            fee = posting | {"kind": "fee", "change": -CENT, "total": posting["total"] - paid - CENT, "price": None}
            evidence.postings.append(fee)
            paid += CENT
    for number, posting in enumerate(evidence.postings, 1):
        posting["id"] = number
    for trade in evidence.trades:
        trade["traded_on"] = day
    evidence.balances[0]["amount"] -= paid
