"""The audit log: what staff saw and did, from which address, with the state before and after.

It is append-only and chained by hashes: the digest of an entry covers the digest of the previous one, so an entry
cannot be changed, removed or inserted without invalidating every later digest. Entries removed at the end are detected
by the head, or by any digest that was written down elsewhere.
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC
from hashlib import sha256
from typing import Any
from uuid import UUID

from django.db import connection
from django.utils import timezone

from exchange.messages import storable
from office.models import AuditEntry, AuditHead

ENTRIES_PER_BATCH = 2000
SEEN_EACH_MAX = 5  # for a page with up to this many customers, each customer gets an entry
TEXT_LENGTH_MAX = 2000  # characters of each text in `before` and `after`


@dataclass(frozen=True, slots=True)
class Actor:
    """The person or process that acts, and the network address that the request came from."""

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
    """Append an entry to the audit log.

    Each attempt is one statement that moves the head only if it has not moved meanwhile, so this needs no transaction
    and also works inside one. An attempt fails only if another entry was appended, so the loop always ends.

    Idempotent: no. Each call appends another entry.

    Args:
        customer_id: The customer that was seen or affected, so that the log can be filtered by customer.
        before: The state that the action can change, before it; any JSON value.
        after: The same state after the action.
    """
    entry = AuditEntry(
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
    )
    while not _append(entry):
        pass
    return entry


def record_seen(
    actor: Actor,
    action: str,
    customer_ids: Iterable[int | None],
    *,
    subject: str,
    asked: dict[str, Any],
    always: bool = False,
) -> None:
    """Record which customers a page showed.

    Up to SEEN_EACH_MAX customers get an entry each, so that the log can be filtered by customer. A page with more
    customers gets one entry that names them all.

    Idempotent: no. Each call appends its entries.

    Args:
        asked: The search terms or filters.
        always: Append an entry even if no customer was shown.
    """
    shown_ids = sorted({customer_id for customer_id in customer_ids if customer_id is not None})
    if len(shown_ids) > SEEN_EACH_MAX:
        record(actor, action, AuditEntry.Outcome.SEEN, subject=subject, after=asked | {"customers": shown_ids})
        return
    subjects: list[int | None] = [*shown_ids] if shown_ids or not always else [None]
    for customer_id in subjects:
        record(actor, action, AuditEntry.Outcome.SEEN, customer_id=customer_id, subject=subject, after=asked or None)


def _append(entry: AuditEntry) -> bool:
    """Append the entry after the current head; return False if the head has moved meanwhile."""
    head = AuditHead.objects.filter(id=1).first()
    if head is None:
        AuditHead.objects.bulk_create([AuditHead(id=1, number=0)], ignore_conflicts=True)
        head = AuditHead(number=0)
    entry.number, entry.previous = head.number + 1, head.digest
    entry.digest = digest(entry)
    parameters = {field.attname: getattr(entry, field.attname) for field in AuditEntry._meta.fields}
    for name in ("before", "after"):
        parameters[name] = None if parameters[name] is None else json.dumps(parameters[name])
    with connection.cursor() as cursor:
        cursor.execute(APPEND, parameters)
        return bool(cursor.rowcount == 1)


def digest(entry: AuditEntry) -> str:
    """Return the SHA-256, in hex, of the content of an entry and the previous digest."""
    content = {
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
    return sha256(json.dumps(content, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Check:
    """The result of a check: the number of entries, the errors found, and the last digest."""

    entries: int
    wrong: list[str]
    head: str


def check(wrong_max: int = 100) -> Check:
    """Verify the whole chain up to the current head. It only reads, and takes no locks."""
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
            wrong.append(f"entry {entry.number} was changed after it was written")
        number, previous = entry.number, entry.digest
    if (number, previous) != (head.number, head.digest):
        wrong.append(f"the log ends with entry {number}, but its head says {head.number}")
    return Check(number, wrong, previous)


def _entries(last: int) -> Iterator[AuditEntry]:
    after = 0
    while batch := list(
        AuditEntry.objects.filter(number__gt=after, number__lte=last).order_by("number")[:ENTRIES_PER_BATCH]
    ):
        yield from batch
        after = batch[-1].number


def _plain(value: Any) -> Any:
    """Convert a value to plain JSON that PostgreSQL accepts as jsonb."""
    if isinstance(value, dict):
        return {storable(key, TEXT_LENGTH_MAX): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(item) for item in value]
    if value is None or isinstance(value, bool | int):
        return value
    return storable(value, TEXT_LENGTH_MAX)


APPEND = """
    WITH moved AS (
        UPDATE office_audithead SET number = %(number)s, digest = %(digest)s
        WHERE id = 1 AND number = %(number)s - 1 AND digest = %(previous)s RETURNING 1
    )
    INSERT INTO office_auditentry (number, at, staff_id, staff, address, action, outcome, customer_id, trade_id,
                                   subject, reason, before, after, previous, digest)
    SELECT %(number)s, %(at)s, %(staff_id)s, %(staff)s, %(address)s, %(action)s, %(outcome)s, %(customer_id)s,
           %(trade_id)s, %(subject)s, %(reason)s, %(before)s::jsonb, %(after)s::jsonb, %(previous)s, %(digest)s
    FROM moved
"""
