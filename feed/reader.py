"""The feed: a customer's events in a durable order, read from the tables that they describe and stored nowhere else.

An event is a status change of a trade, or the effect of a corporate action on the account. Its cursor is (transaction
number, id of the status change or number of the entitlement, from the same sequence). Transactions commit in any order,
so a reader that asked for "everything after the last" would miss events that commit late. Therefore an event is served
only when every transaction up to its number has ended (PostgreSQL knows which have): from then on, no event can appear
before it.

The number is that of the transaction that wrote the event, or a higher one. A turn gets its transaction number with its
first lock, possibly before the placing whose trade it then claims, so it uses the customer's highest number if its own
is lower. The number is never lower than the writer's own, so no event appears behind a reader. And a customer's numbers
never decrease, so the events are in causal order. Trades placed simultaneously, by requests that do not wait for each
other, may appear in either order.
"""

import json
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple

from django.db import connection

from trades.models import FINAL, CorporateAction, Entitlement, Status, Trade

EVENT_ID = re.compile(r"[0-9a-f]{32}", re.ASCII)
BIGINT_MAX = 2**63 - 1


class Cursor(NamedTuple):
    """A bookmark in a feed, after its event. As a string it is the event's id: opaque, and sorted like the events."""

    xact: int
    change: int

    def __str__(self) -> str:
        return f"{self.xact:016x}{self.change:016x}"

    @classmethod
    def parse(cls, text: str) -> "Cursor":
        """Return the cursor after the event with this id; "0" is the beginning.

        Raises:
            ValueError: The text is not an event's id.
        """
        if text == "0":
            return cls(0, 0)
        if not EVENT_ID.fullmatch(text):
            raise ValueError(f"{text[:40]!r} is not an event's id")
        xact, change = int(text[:16], 16), int(text[16:], 16)
        if max(xact, change) > BIGINT_MAX:
            raise ValueError(f"{text!r} is not an event's id")
        return cls(xact, change)


@dataclass(frozen=True, slots=True)
class Event:
    """A status change of a trade, or the effect of a corporate action on the account. It has one of the two.

    Attributes:
        trade: The trade as it was then.
        holding: For FILLED, how many shares of the stock the customer had afterwards.
    """

    cursor: Cursor
    at: datetime
    trade: Trade | None = None
    holding: int | None = None
    entitlement: Entitlement | None = None

    @property
    def id(self) -> str:
        return str(self.cursor)

    @property
    def type(self) -> str:
        """The event type, such as `trade.in_progress`; `trade.queued` if the trade was placed to wait for the open."""
        if self.trade is None:
            return CORPORATE_ACTIONS[self.entitlement.action.kind] if self.entitlement else ""
        if self.trade.status == Status.PLACED and self.trade.queued_at == self.trade.placed_at:
            return QUEUED
        return event_type(self.trade.status)


class Portion(list[Event]):
    """Events after a start, in order. If `may_be_more` is false, they are all that there were."""

    may_be_more = False


def event_type(status: str) -> str:
    """Return the event type of a change to this status, such as `trade.in_progress`."""
    return f"trade.{status.lower().replace(' ', '_')}"


QUEUED = "trade.queued"
CORPORATE_ACTIONS: dict[str, str] = {
    CorporateAction.Kind.CASH_DIVIDEND: "dividend.paid",
    CorporateAction.Kind.SPLIT: "split.applied",
    CorporateAction.Kind.TICKER_CHANGE: "ticker.changed",
}
EVENT_TYPES = (*map(event_type, Status.values), QUEUED, *CORPORATE_ACTIONS.values())


def latest_cursor() -> Cursor:
    """Return the cursor after all events that can be served now. Later commits appear after it."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint")
        return Cursor(cursor.fetchone()[0], 0)


def start_after(text: str) -> Cursor:
    """Return the cursor after the event with this id; "0" is the beginning.

    Raises:
        ValueError: The text is not an event's id, or no event can have this id yet.
    """
    cursor = Cursor.parse(text)
    if cursor > latest_cursor():
        raise ValueError(f"no event has the id {text!r} yet")
    return cursor


def read(starts: Sequence[tuple[int, Cursor]], until: Cursor, events_max: int) -> list[Portion]:
    """Return the next events after each start, in order, with a single query.

    Args:
        starts: Customer ids, each with the cursor to read from.
        until: A result of `latest_cursor`.
        events_max: The maximum number of events for each customer. The starts of a customer share it equally, but each
            gets one event at least.
    """
    portions = [Portion() for _ in starts]
    if not starts:
        return portions
    starts_of = Counter(customer_id for customer_id, _ in starts)
    shares = [max(1, events_max // starts_of[customer_id]) for customer_id, _ in starts]
    with connection.cursor() as cursor:
        cursor.execute(
            READ,
            {
                "customer": [customer_id for customer_id, _ in starts],
                "xact": [after.xact for _, after in starts],
                "change": [after.change for _, after in starts],
                "share": shares,
                "until": until.xact,
                "each_max": events_max,
            },
        )
        names = [column.name for column in cursor.description]
        for row in cursor.fetchall():
            values = dict(zip(names, row, strict=True))
            portions[values.pop("number") - 1].append(_event(values))
    for portion, share in zip(portions, shares, strict=True):
        portion.may_be_more = len(portion) == share
    return portions


def _event(values: dict[str, Any]) -> Event:
    cursor = Cursor(values.pop("xact"), values.pop("change"))
    at, holding = values.pop("at"), values.pop("holding")
    entitled, action = ({name: values.pop(name) for name in names} for names in (ENTITLEMENT, ACTION))
    if values["id"] is None:
        named = ({name.partition("_")[2]: value for name, value in row.items()} for row in (entitled, action))
        of_entitlement, of_action = named
        entitlement = Entitlement(**of_entitlement, at=at, action=CorporateAction(**of_action))
        return Event(cursor, at, entitlement=entitlement)
    fees = values.pop("fees")  # text, because a raw query does not convert JSON
    trade = Trade(**values, fees=None if fees is None else json.loads(fees))
    if trade.status not in FINAL:
        trade.price = trade.amount = trade.settled_at = None
        trade.reason_code = ""
    if trade.status == Status.PLACED:
        trade.claimed_at = None
        trade.ticker, trade.placed_as = trade.placed_as or trade.ticker, None
    return Event(cursor, at, trade, None if holding is None else int(Decimal(holding)))


ENTITLEMENT = ("entitled_customer_id", "entitled_shares", "entitled_shares_after", "entitled_cash")
ACTION = (
    *("action_id", "action_kind", "action_ticker", "action_new_ticker", "action_ex_date", "action_pay_date"),
    *("action_amount_per_share", "action_numerator", "action_denominator", "action_reference_price"),
)
# Each half reads little more than an asker gets, from an index that is in the order of `xact`.
READ = f"""
    SELECT asker.number::int AS number, m.xact, m.id AS change, m.at, t.id, t.customer_id, t.sequence, t.ticker,
           t.placed_as, t.type, t.quantity, t.idempotency_key, t.placed_at, t.when_closed, t.time_in_force, t.queued_at,
           m.to_status AS status, t.claimed_at, t.price, t.amount, t.reason_code, t.settled_at, t.executed_at,
           t.settles_on, t.fees, p.total AS holding,
           {", ".join(f"entitled.{name.partition('_')[2]} AS {name}" for name in ENTITLEMENT)},
           {", ".join(f"action.{name.partition('_')[2]} AS {name}" for name in ACTION)}
    FROM unnest(%(customer)s::bigint[], %(xact)s::bigint[], %(change)s::bigint[], %(share)s::int[])
        WITH ORDINALITY AS asker (customer_id, xact, change, share, number)
    CROSS JOIN LATERAL (
        (SELECT xact, id, at, to_status, trade_id, NULL::uuid AS entitlement_id FROM trades_statuschange
         WHERE customer_id = asker.customer_id AND (xact, id) > (asker.xact, asker.change) AND xact < %(until)s::bigint
         ORDER BY xact, id LIMIT %(each_max)s)
        UNION ALL
        (SELECT xact, event, at, NULL, NULL, id FROM trades_entitlement
         WHERE customer_id = asker.customer_id AND (xact, event) > (asker.xact, asker.change)
           AND xact < %(until)s::bigint
         ORDER BY xact, event LIMIT %(each_max)s)
        ORDER BY xact, id LIMIT asker.share
    ) AS m
    LEFT JOIN trades_trade AS t ON t.id = m.trade_id
    LEFT JOIN accounts_posting AS p
        ON m.to_status = 'FILLED' AND p.cause = t.id AND p.kind = lower(t.type) AND p.ticker = t.ticker
    LEFT JOIN trades_entitlement AS entitled ON entitled.id = m.entitlement_id
    LEFT JOIN trades_corporateaction AS action ON action.id = entitled.action_id
    ORDER BY asker.number, m.xact, m.id
"""
