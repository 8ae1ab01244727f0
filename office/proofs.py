"""Prove the books and keep the result: in full, or what has changed since the last proof."""

import time
from datetime import timedelta

from django.utils import timezone

from office import cases
from office.cases import Finding, Kind
from office.models import Proof
from trades.audit import Audit, Mark, audit_books

FULL_EVERY_HOURS = 24  # in between, the scheduled proofs are of changes
VIOLATIONS_KEPT_MAX = 100
GENTLE = 3.0  # how long a proof that nobody waits for rests after each statement, in multiples of the statement's time


def prove(asked_by: str = "", only_changes: bool = False, rests: float = 0.0) -> Proof:
    """Prove the books, keep the result, and open an exception for each violation.

    Idempotent: no. Each call proves them again.

    Args:
        only_changes: Whether to examine only what can have changed since the last proof. Everything is examined if
            that one found a violation, because a proof of changes doesn't see a violation that stays as it is.
        rests: How long to rest after each statement, in multiples of the time that it took.
    """
    return prove_and_show(asked_by, only_changes, rests)[0]


def prove_and_show(asked_by: str = "", only_changes: bool = False, rests: float = 0.0) -> tuple[Proof, Audit]:
    """Prove the books as `prove` does, and also return the audit with everything that it found."""
    earlier = last_without_violations()
    began = time.monotonic()
    audit = audit_books(mark_of(earlier), only_changes, rests)
    found = audit.findings
    count = sum(found.counts.values())
    proof = Proof.objects.create(
        took_ms=int((time.monotonic() - began) * 1000),
        ok=count == 0,
        customers=audit.customers,
        trades=audit.trades,
        postings=audit.postings,
        violations_count=count,
        violations=[{k: str(v) for k, v in row.items()} for row in found.violations[:VIOLATIONS_KEPT_MAX]],
        asked_by=asked_by,
        earlier=None if audit.is_full else earlier,
        changed=audit.changed,
        full_because=audit.full_because,
        mark=audit.mark.as_json(),
    )
    cases.open_cases(
        Finding(
            Kind.BOOKS,
            " ".join(
                str(row[name])
                for name in ("rule", "customerId", "tradeId", "postingId", "stockTicker")
                if row.get(name)
            ),
            f"{row['rule']}: {row.get('detail', '')}",
            row.get("customerId"),
            row.get("tradeId"),
        )
        for row in found.violations
    )
    return proof, audit


def last_without_violations() -> Proof | None:
    """Return the last proof if it found no violation, and a proof of changes can start from it."""
    last = Proof.objects.order_by("-id").first()
    return last if last and last.ok and last.mark else None


def mark_of(proof: Proof | None) -> Mark | None:
    """Return the mark that a proof left; None: it left none."""
    return Mark(**proof.mark) if proof and proof.mark else None


def last_full(proof: Proof | None = None) -> Proof | None:
    """Return the last full proof; with `proof`, the last one until then."""
    full = Proof.objects.filter(earlier=None).order_by("-id")
    return (full.filter(id__lte=proof.id) if proof else full).first()


def full_one_is_due() -> bool:
    """Return whether the last full proof is older than FULL_EVERY_HOURS."""
    full = last_full()
    return full is None or full.at < timezone.now() - timedelta(hours=FULL_EVERY_HOURS)
