"""Lots: record when and for how much shares were bought, and compute what each sale gained.

Every purchase opens a lot. Every sale closes lots, or parts of them, in the order of the account's lot method, and each
closing records its cost, proceeds, and gain. The ledger calls this when it writes, under the customer's lock. One query
reads the lots to close for a whole set of customers; changes are written together with the postings.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from decimal import Decimal
from typing import Any, NamedTuple
from uuid import UUID

from django.db import connection
from uuid_utils.compat import uuid7

from accounts.models import LotMethod
from accounts.settlement import Unsettled

Pair = tuple[int, str]  # customer id and ticker


def part_of_cost(cost: Decimal, quantity: int, total: int) -> Decimal:
    """Return the cost of `quantity` out of `total` shares that cost `cost` in total, rounded half to even.

    It is computed in whole units of 0.0001 USD, so it is exact at any size. The database's `accounts_cost_step` does
    the same, and the audit compares the two.
    """
    numerator, denominator = int(cost.scaleb(4)) * quantity, total
    units, remainder = divmod(numerator, denominator)
    if 2 * remainder > denominator or (2 * remainder == denominator and units % 2):
        units += 1
    return Decimal(units).scaleb(-4)


def is_long_term(acquired_on: date, closed_on: date) -> bool:
    """Return whether shares were held for more than one year.

    Source: IRS Topic 409.
    """
    try:
        anniversary = acquired_on.replace(year=acquired_on.year + 1)
    except ValueError:  # February 29
        anniversary = date(acquired_on.year + 1, 2, 28)
    return closed_on > anniversary


class Payment(NamedTuple):
    """How a purchase was paid for: the cash left afterwards (USD), and the earlier sales of the same transaction."""

    cash_left: Decimal
    sales: Sequence[Unsettled]


@dataclass(frozen=True, slots=True)
class Opening:
    """Shares that came in and open a lot. `cost` is the total in USD; `origin` is the lot that it continues, if any.

    `paid_with_until` is the lot's, and follows from the `payment`.
    """

    customer_id: int
    ticker: str
    cause: UUID
    acquired_on: date
    quantity: int
    cost: Decimal
    origin: UUID | None = None
    payment: Payment | None = None
    paid_with_until: date | None = None


@dataclass(frozen=True, slots=True)
class Disposal:
    """Shares that went out. `proceeds` is the total in USD, net of fees; None if they were not sold."""

    customer_id: int
    ticker: str
    cause: UUID
    closed_on: date
    quantity: int
    proceeds: Decimal | None
    method: str = LotMethod.FIFO


@dataclass(frozen=True, slots=True)
class Split(Disposal):
    """A split of all `quantity` shares into `after` shares: each lot is closed, and a new lot continues it.

    The new lot keeps the date and the cost. Fractions of shares are carried from lot to lot, in the order of dates.
    With a `new_ticker`, the new lots have that ticker.
    """

    after: int = 0
    new_ticker: str = ""


@dataclass(slots=True)
class OpenLot:
    """A lot in memory."""

    id: UUID
    customer_id: int
    ticker: str
    cause: UUID
    acquired_on: date
    quantity: int
    cost: Decimal
    remaining: int
    remaining_cost: Decimal
    origin: UUID | None
    paid_with_until: date | None

    @property
    def row(self) -> tuple[Any, ...]:
        return tuple(getattr(self, name) for name in LOT_COLUMNS)


LOT_COLUMNS = (
    *("id", "customer_id", "ticker", "cause", "acquired_on"),
    *("quantity", "cost", "remaining", "remaining_cost", "origin", "paid_with_until"),
)
LOT_TYPES = ("uuid", "bigint", "text", "uuid", "date", "bigint", "numeric", "bigint", "numeric", "uuid", "date")
CLOSING_COLUMNS = (
    *("lot_id", "customer_id", "ticker", "cause", "acquired_on", "closed_on"),
    *("quantity", "cost", "proceeds", "gain", "is_long_term"),
)
CLOSING_TYPES = (
    *("uuid", "bigint", "text", "uuid", "date", "date"),
    *("bigint", "numeric", "numeric", "numeric", "boolean"),
)
ORDER: dict[str, Callable[[OpenLot], Any]] = {
    LotMethod.FIFO: lambda lot: (lot.acquired_on, lot.id),
    LotMethod.LIFO: lambda lot: (-lot.acquired_on.toordinal(), -lot.id.int),
    LotMethod.HIGHEST_COST: lambda lot: (-lot.remaining_cost / lot.remaining, lot.acquired_on, lot.id),
}


class EarlySale(NamedTuple):
    """A sale of shares before the cash that paid for them had settled: a good-faith violation."""

    customer_id: int
    ticker: str
    cause: UUID
    lot_id: UUID
    bought_on: date
    sold_on: date
    settles_on: date


@dataclass(slots=True)
class LotChanges:
    """The changes that a set of movements makes: new and changed lots, and closings.

    `short` has the pairs whose lots had fewer shares than went out. `early_sales` has the sales that are good-faith
    violations, by cause.
    """

    open_lots: dict[Pair, list[OpenLot]] = field(default_factory=lambda: defaultdict(list))
    changed: dict[UUID, OpenLot] = field(default_factory=dict)
    closings: list[tuple[Any, ...]] = field(default_factory=list)
    short: set[Pair] = field(default_factory=set)
    early_sales: dict[UUID, EarlySale] = field(default_factory=dict)
    _in_order: dict[Pair, str] = field(default_factory=dict)

    def apply(self, movement: Opening | Disposal) -> None:
        """Open a lot, or close lots, in memory."""
        if isinstance(movement, Opening):
            self._open(movement)
        elif isinstance(movement, Split):
            self._split(movement)
        else:
            self._close(movement)

    def _open(self, new: Opening) -> None:
        lot = OpenLot(
            uuid7(),
            new.customer_id,
            new.ticker,
            new.cause,
            new.acquired_on,
            new.quantity,
            new.cost,
            new.quantity,
            new.cost,
            new.origin,
            new.paid_with_until,
        )
        pair = (new.customer_id, new.ticker)
        lots = self.open_lots[pair]
        if lots and (self._in_order.get(pair) != LotMethod.FIFO or lot.acquired_on < lots[-1].acquired_on):
            self._in_order.pop(pair, None)
        lots.append(lot)
        self.changed[lot.id] = lot

    def _split(self, split: Split) -> None:
        pair = (split.customer_id, split.new_ticker or split.ticker)
        lots = sorted(self.open_lots[split.customer_id, split.ticker], key=ORDER[LotMethod.FIFO])
        pieces = [(lot, lot.remaining, lot.remaining_cost) for lot in lots]
        self._close(split)
        shares_before = shares_after = 0
        waiting_cost = Decimal(0)  # of lots that became less than a whole share; the next lot carries it
        waiting_until: list[date] = []
        for lot, quantity, cost in pieces:
            shares_before += quantity
            new_shares = shares_before * split.after // split.quantity - shares_after
            waiting_cost += cost
            waiting_until += [lot.paid_with_until] if lot.paid_with_until else []
            if new_shares:
                shares_after += new_shares
                new = Opening(*pair, split.cause, lot.acquired_on, new_shares, waiting_cost, lot.origin or lot.id)
                self._open(replace(new, paid_with_until=max(waiting_until, default=None)))
                waiting_cost, waiting_until = Decimal(0), []

    def _close(self, disposal: Disposal) -> None:
        pair = (disposal.customer_id, disposal.ticker)
        lots = self.open_lots[pair]
        if self._in_order.get(pair) != disposal.method:
            lots.sort(key=ORDER[disposal.method])
            self._in_order[pair] = disposal.method
        remaining, proceeds_left, closed = disposal.quantity, disposal.proceeds, 0
        for lot in lots:
            if remaining == 0:
                break
            closing = min(remaining, lot.remaining)
            proceeds = None if proceeds_left is None else part_of_cost(proceeds_left, closing, remaining)
            self._close_part(lot, closing, proceeds, disposal)
            remaining -= closing
            closed += lot.remaining == 0
            if proceeds_left is not None and proceeds is not None:
                proceeds_left -= proceeds
        del lots[:closed]
        if remaining:
            self.short.add(pair)

    def _close_part(self, lot: OpenLot, quantity: int, proceeds: Decimal | None, disposal: Disposal) -> None:
        cost = part_of_cost(lot.remaining_cost, quantity, lot.remaining)
        lot.remaining -= quantity
        lot.remaining_cost -= cost
        self.changed[lot.id] = lot
        if proceeds is not None:
            self._record_early_sale(lot, disposal)
        self.closings.append(
            (
                lot.id,
                lot.customer_id,
                lot.ticker,
                disposal.cause,
                lot.acquired_on,
                disposal.closed_on,
                quantity,
                cost,
                proceeds,
                None if proceeds is None else proceeds - cost,
                is_long_term(lot.acquired_on, disposal.closed_on),
            )
        )

    def _record_early_sale(self, lot: OpenLot, disposal: Disposal) -> None:
        settles_on = lot.paid_with_until
        if settles_on is None or max(lot.acquired_on, disposal.closed_on) >= settles_on:
            return
        recorded = self.early_sales.get(disposal.cause)
        if recorded is None or recorded.settles_on < settles_on:
            self.early_sales[disposal.cause] = EarlySale(
                lot.customer_id, lot.ticker, disposal.cause, lot.id, lot.acquired_on, disposal.closed_on, settles_on
            )

    @property
    def columns(self) -> list[list[Any]]:
        """The parameters of WRITE_LOTS: a list for each column of the lots, then of the closings."""
        lots = [lot.row for lot in self.changed.values()]
        return _columns(lots, len(LOT_COLUMNS)) + _columns(self.closings, len(CLOSING_COLUMNS))


def changes_of(movements: Sequence[Opening | Disposal]) -> LotChanges:
    """Return what these movements change, applied in their order. One query reads the lots that may be closed."""
    changes = LotChanges()
    if disposals := [movement for movement in movements if isinstance(movement, Disposal)]:
        _load(changes, disposals)
    for movement in movements:
        changes.apply(movement)
    return changes


def load_open_lots(pairs: Iterable[Pair]) -> LotChanges:
    """Return empty changes with all open lots of these pairs in memory."""
    changes, distinct_pairs = LotChanges(), list(pairs)
    if distinct_pairs:
        with connection.cursor() as cursor:
            cursor.execute(ALL_OPEN_LOTS, [list(column) for column in zip(*distinct_pairs, strict=True)])
            _keep(changes, cursor.fetchall())
    return changes


def _load(changes: LotChanges, disposals: Sequence[Disposal]) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            LOTS_TO_CLOSE,
            [
                [disposal.customer_id for disposal in disposals],
                [disposal.ticker for disposal in disposals],
                [disposal.quantity for disposal in disposals],
                [disposal.method for disposal in disposals],
            ],
        )
        _keep(changes, cursor.fetchall())


def _keep(changes: LotChanges, rows: Iterable[tuple[Any, ...]]) -> None:
    lot_ids: set[UUID] = set()
    for row in rows:
        lot = OpenLot(*row)
        if lot.id not in lot_ids:
            lot_ids.add(lot.id)
            changes.open_lots[lot.customer_id, lot.ticker].append(lot)


def _columns(rows: Sequence[tuple[Any, ...]], width: int) -> list[list[Any]]:
    return [list(column) for column in zip(*rows, strict=True)] if rows else [[] for _ in range(width)]


def _arrays(types: Sequence[str]) -> str:
    return ", ".join(f"%s::{type}[]" for type in types)


# A sale closes at most as many lots as it has shares, so it reads no more, however many are open. Only the branch of
# the lot method is executed.
_NEXT = """
    (SELECT * FROM accounts_lot
     WHERE customer_id = wanted.customer_id AND ticker = wanted.ticker AND remaining > 0 AND wanted.method = '{}'
     ORDER BY {} LIMIT wanted.quantity)
"""
LOTS_TO_CLOSE = f"""
    SELECT {", ".join(f"lot.{name}" for name in LOT_COLUMNS)}
    FROM unnest(%s::bigint[], %s::text[], %s::bigint[], %s::text[]) AS wanted (customer_id, ticker, quantity, method)
    CROSS JOIN LATERAL (
        {_NEXT.format(LotMethod.FIFO, "acquired_on, id")}
        UNION ALL {_NEXT.format(LotMethod.LIFO, "acquired_on DESC, id DESC")}
        UNION ALL {_NEXT.format(LotMethod.HIGHEST_COST, "remaining_cost / remaining DESC, acquired_on, id")}
    ) AS lot
"""
ALL_OPEN_LOTS = f"""
    SELECT {", ".join(f"lot.{name}" for name in LOT_COLUMNS)}
    FROM unnest(%s::bigint[], %s::text[]) AS wanted (customer_id, ticker)
    JOIN accounts_lot AS lot USING (customer_id, ticker) WHERE remaining > 0
"""
# A part of a statement: see `web.writes`.
WRITE_LOTS = f"""
    lots AS (
        INSERT INTO accounts_lot ({", ".join(LOT_COLUMNS)}) SELECT * FROM unnest({_arrays(LOT_TYPES)})
        ON CONFLICT (id) DO UPDATE SET remaining = excluded.remaining, remaining_cost = excluded.remaining_cost
    ), closings AS (
        INSERT INTO accounts_lotclosing ({", ".join(CLOSING_COLUMNS)}) SELECT * FROM unnest({_arrays(CLOSING_TYPES)})
    )
"""
