"""The books: the one place that moves cash and shares.

    with transaction.atomic(durable=True):
        books = open_books([alice.id, bob.id])     # locks both customers, in order of id
        books.load_shares([(alice.id, "AAPL")])
        books[alice.id].buy(...)                   # in memory; raises before anything is written
        books.write()                              # one statement, however many customers

There is one kind of lock, the customer's Balance row. It is taken here, first, and in order of id, so there are no
deadlocks.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from datetime import date

import structlog
from django.db import connection

from accounts.account import Account, Shares
from accounts.good_faith import mark_purchases, record_violations
from accounts.lot_history import build_lots
from accounts.lots import WRITE_LOTS, LotChanges, changes_of
from accounts.settlement import Cash, in_force, unsettled_sales_of
from web.writes import Writes

log = structlog.get_logger()


class Books:
    """The open books of a set of customers, in the transaction that locked them."""

    def __init__(self, accounts: Iterable[Account]) -> None:
        self._accounts = {account.customer_id: account for account in accounts}
        self._lots: tuple[int, LotChanges] = (0, LotChanges())  # the changes of the first N movements, with N

    def __getitem__(self, customer_id: int) -> Account:
        return self._accounts[customer_id]

    def __iter__(self) -> Iterator[Account]:
        return iter(self._accounts.values())

    @property
    def customer_ids(self) -> list[int]:
        return list(self._accounts)

    def set_shares(self, positions: Mapping[tuple[int, str], Shares]) -> None:
        """Take over positions that the caller has read under the lock, by customer id and ticker. See `load_shares`."""
        for (customer_id, ticker), shares in positions.items():
            self[customer_id].shares.setdefault(ticker, shares)

    def load_shares(self, requested: Iterable[tuple[int, str]]) -> None:
        """Read positions, given as (customer id, ticker). Call it before you touch the shares.

        Idempotent: yes. Shares that are already in memory stay as they are, with their changes.
        """
        pairs = [
            (customer_id, ticker) for customer_id, ticker in set(requested) if ticker not in self[customer_id].shares
        ]
        if not pairs:
            return
        with connection.cursor() as cursor:
            cursor.execute(READ_SHARES, [list(column) for column in zip(*pairs, strict=True)])
            for customer_id, ticker, *has in cursor.fetchall():
                self[customer_id].shares[ticker] = Shares(*has)

    def cash_of(self, customer_ids: Collection[int], day: date) -> dict[int, Cash]:
        """Return customers' cash as it is now, split by whether it has settled by a day. One query."""
        written = unsettled_sales_of(customer_ids, day) if customer_ids else {}
        found = {}
        for customer_id in customer_ids:
            account = self[customer_id]
            sales = [*written.get(customer_id, ()), *(sale for sale in account.sales if sale.settles_on > day)]
            until = in_force(account.settled_cash_until, day)
            found[customer_id] = Cash(account.amount, account.held, sorted(sales), until)
        return found

    def write(self) -> None:
        """Write everything that changed: balances, positions, and postings with their lots. One statement.

        Idempotent: yes. A second call has nothing left to write.
        """
        with Writes() as writes:
            self.add_to(writes)

    def add_to(self, writes: Writes) -> None:
        """Do what `write` does, as part of a statement that the caller executes in this transaction."""
        lots = self.change_lots()
        if balances := [account for account in self if account.cash_changed]:
            writes.add(
                WRITE_BALANCES,
                [
                    [account.customer_id for account in balances],
                    [account.amount for account in balances],
                    [account.held for account in balances],
                ],
            )
        if positions := [(account, ticker) for account in self for ticker in sorted(account.tickers_changed)]:
            shares = [account.shares[ticker] for account, ticker in positions]
            writes.add(
                WRITE_POSITIONS,
                [
                    [account.customer_id for account, _ in positions],
                    [ticker for _, ticker in positions],
                    [row.quantity for row in shares],
                    [row.held for row in shares],
                    [row.cost for row in shares],
                ],
            )
        if postings := [posting for account in self for posting in account.postings]:
            writes.add(WRITE_LOTS, lots.columns)
            writes.add(
                WRITE_POSTINGS,
                [
                    [row.customer_id for row in postings],
                    [row.ticker for row in postings],
                    [row.kind for row in postings],
                    [row.cause for row in postings],
                    [row.change for row in postings],
                    [row.total for row in postings],
                    [row.price for row in postings],
                    [row.settles_on for row in postings],
                ],
            )
        for account in self:
            account.cash_changed = False
            account.tickers_changed.clear()
            account.postings.clear()
            account.movements.clear()
            account.sales.clear()
        self._lots = (0, LotChanges())

    def change_lots(self) -> LotChanges:
        """Compute how the movements of shares change lots, and restrict accounts that have too many violations.

        `write` does this too. Call it earlier if the restrictions matter within the transaction.

        Missing lots of the past are built first. If the lots still don't have enough shares, those that exist are
        closed and the audit reports it, so that no trade has to wait.
        """
        movements = [movement for account in self for movement in account.movements]
        known, changes = self._lots
        if len(movements) == known:
            return changes
        movements = mark_purchases(movements)
        changes = changes_of(movements)
        if changes.short:
            log.info("building lots of past postings", pairs=sorted(changes.short))
            build_lots(changes.short)
            changes = changes_of(movements)
        if changes.short:
            log.error("lots have fewer shares than were sold", pairs=sorted(changes.short))
        for customer_id, until in record_violations(changes.early_sales.values()).items():
            self[customer_id].settled_cash_until = until
        self._lots = (len(movements), changes)
        return changes


def open_books(customer_ids: Iterable[int]) -> Books:
    """Lock these customers' books until the transaction ends, and read their cash. Needs a transaction.

    Ignores customers that don't exist. Waits for other holders of the lock, up to the database's lock_timeout.
    """
    with connection.cursor() as cursor:
        cursor.execute(LOCK_BALANCES, [list(customer_ids)])
        return Books(
            Account(customer_id, amount, held, lot_method=lot_method, settled_cash_until=until)
            for customer_id, amount, held, lot_method, until in cursor.fetchall()
        )


# Sets are passed as arrays, so there is one statement and one plan, however many rows. The ORM's bulk_update would
# write a CASE with a branch for every row and column, which costs both sides more than the rest of a turn.
LOCK_BALANCES = """
    SELECT customer_id, amount, held, lot_method, settled_cash_until FROM accounts_balance
    WHERE customer_id = ANY (%s::bigint[]) ORDER BY customer_id FOR NO KEY UPDATE
"""
READ_SHARES = """
    SELECT customer_id, ticker, quantity, held, cost
    FROM unnest(%s::bigint[], %s::text[]) AS wanted (customer_id, ticker)
    JOIN accounts_position USING (customer_id, ticker)
"""
# The parts of the statement that `Books.write` executes.
WRITE_BALANCES = """
    balances AS (
        UPDATE accounts_balance AS b SET amount = new.amount, held = new.held, modified_at = statement_timestamp()
        FROM unnest(%s::bigint[], %s::numeric[], %s::numeric[]) AS new (customer_id, amount, held)
        WHERE b.customer_id = new.customer_id
    )
"""
WRITE_POSITIONS = """
    positions AS (
        INSERT INTO accounts_position (customer_id, ticker, quantity, held, cost)
        SELECT * FROM unnest(%s::bigint[], %s::text[], %s::bigint[], %s::bigint[], %s::numeric[])
        ON CONFLICT (customer_id, ticker) DO UPDATE
        SET quantity = excluded.quantity, held = excluded.held, cost = excluded.cost,
            modified_at = statement_timestamp()
    )
"""
WRITE_POSTINGS = """
    postings AS (
        INSERT INTO accounts_posting (customer_id, ticker, kind, cause, change, total, price, settles_on)
        SELECT * FROM unnest(%s::bigint[], %s::text[], %s::text[], %s::uuid[], %s::numeric[], %s::numeric[],
                             %s::numeric[], %s::date[])
    )
"""
