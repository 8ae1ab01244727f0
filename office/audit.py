"""The audit log: who saw what, who did what, from where, before and after. Append-only, and chained by hashes.

An entry's digest covers the digest of the one before, so that no entry can be changed, taken out or put in without
every later digest becoming wrong. What was cut off at the end is told by the head, and by any digest noted elsewhere.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC
from hashlib import sha256
from typing import Any
from uuid import UUID

from django.db import connection, transaction
from django.utils import timezone

from exchange.messages import storable
from office.models import AuditEntry, AuditHead

ENTRIES_AT_ONCE = 2000


@dataclass(frozen=True, slots=True)
class Actor:
    """Who acts, and from where."""

    id: int | None
    name: str
    address: str = ""


def record(
    actor: Actor,
    action: str,
    outcome: AuditEntry.Outcome,
    *,
    customer_id: int | None = None,
    trade_id: UUID | None = None,
    subject: str = "",
    reason: str = "",
    before: Any = None,
    after: Any = None,
) -> AuditEntry:
    """Append an entry; in the transaction that is open, else in one of its own. Again: another entry.

    The head's lock is kept until the transaction ends, and must be the last that it takes.
    """
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(LOCK_HEAD)
        number, previous = cursor.fetchone()
        entry = AuditEntry(
            number=number + 1,
            at=timezone.now(),
            staff_id=actor.id,
            staff=storable(actor.name, 254),
            address=storable(actor.address, 64),
            action=action,
            outcome=outcome,
            customer_id=customer_id,
            trade_id=trade_id,
            subject=storable(subject, 200),
            reason=storable(reason, 500),
            before=_plain(before),
            after=_plain(after),
            previous=previous,
        )
        entry.digest = digest(entry)
        entry.save(force_insert=True)
        cursor.execute(
            "UPDATE office_audithead SET number = %s, digest = %s WHERE id = 1", [entry.number, entry.digest]
        )
    return entry


def digest(entry: AuditEntry) -> str:
    """SHA-256, in hex, of everything an entry says, with the digest of the entry before."""
    said = {
        "number": entry.number,
        "at": entry.at.astimezone(UTC).isoformat(timespec="microseconds"),
        "staffId": entry.staff_id,
        "staff": entry.staff,
        "address": entry.address,
        "action": entry.action,
        "outcome": str(entry.outcome),
        "customerId": entry.customer_id,
        "tradeId": None if entry.trade_id is None else str(entry.trade_id),
        "subject": entry.subject,
        "reason": entry.reason,
        "before": entry.before,
        "after": entry.after,
        "previous": entry.previous,
    }
    return sha256(json.dumps(said, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Check:
    """How many entries were looked at, what is wrong (empty: nothing), and the last digest, to be noted elsewhere."""

    entries: int
    wrong: list[str]
    head: str


def check(wrong_max: int = 100) -> Check:
    """Compute the whole chain again, as far as its head was when this began. Reads only, and waits for nobody."""
    head = AuditHead.objects.filter(id=1).first() or AuditHead(number=0)
    wrong: list[str] = []
    number, previous = 0, ""
    for entry in _entries(head.number):
        if len(wrong) >= wrong_max:
            break
        if entry.number != number + 1:
            wrong.append(f"entry {number + 1} is missing: {entry.number} follows {number}")
        elif entry.previous != previous:
            wrong.append(f"entry {entry.number} does not follow the entry before it")
        if digest(entry) != entry.digest:
            wrong.append(f"entry {entry.number} is not as it was written")
        number, previous = entry.number, entry.digest
    if (number, previous) != (head.number, head.digest):
        wrong.append(f"the log ends with entry {number}, its head says {head.number}")
    return Check(number, wrong, previous)


def _entries(last: int) -> Iterator[AuditEntry]:
    after = 0
    while page := list(
        AuditEntry.objects.filter(number__gt=after, number__lte=last).order_by("number")[:ENTRIES_AT_ONCE]
    ):
        yield from page
        after = page[-1].number


def _plain(value: Any) -> Any:
    return None if value is None else json.loads(json.dumps(value, default=str))


# Inserts the head, or locks it: one statement, which also serves on an empty table.
LOCK_HEAD = """
    INSERT INTO office_audithead (id, number, digest) VALUES (1, 0, '')
    ON CONFLICT (id) DO UPDATE SET id = 1 RETURNING number, digest
"""
