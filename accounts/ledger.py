"""The books: the one place that moves cash and shares.

    with transaction.atomic(durable=True):
        books = open_books([alice.id, bob.id])     # locks both, in order of id
        books.load_shares([(alice.id, "AAPL")])
        books[alice.id].buy(...)                   # in memory; raises before anything is written
        books.write()                              # a handful of statements, however many customers

There is one kind of lock, the customer's Balance row, taken here and first, in order of id: so there is no deadlock.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from decimal import ROUND_HALF_EVEN, Decimal
from uuid import UUID

from django.db import connection

from accounts.models import CASH, Balance, Posting

CENT_OF_A_CENT = Decimal("0.0001")
LARGEST_AMOUNT = Decimal("999999999999999.9999")  # what NUMERIC(19,4) takes


class InsufficientFunds(Exception):
    """More cash than is available."""


class InsufficientShares(Exception):
    """More shares than are held, or free to be sold."""


def money(value: Decimal) -> Decimal:
    """`value` in USD with four digits, a half going to the even neighbour: the one rounding of the house."""
    return value.quantize(CENT_OF_A_CENT, rounding=ROUND_HALF_EVEN)


@dataclass(slots=True)
class Shares:
    """What a customer has of one stock."""

    quantity: int = 0
    held: int = 0
    average_price: Decimal = Decimal(0)

    @property
    def available(self) -> int:
        return self.quantity - self.held


@dataclass(slots=True)
class Movement:
    """A posting to be written."""

    customer_id: int
    ticker: str
    kind: str
    cause: UUID
    change: Decimal
    total: Decimal
    price: Decimal | None


@dataclass(slots=True)
class Account:
    """One customer's cash and shares, locked. Its methods change memory only; `Books.write` makes them last."""

    customer_id: int
    amount: Decimal
    held: Decimal
    shares: dict[str, Shares] = field(default_factory=dict)
    movements: list[Movement] = field(default_factory=list)
    cash_touched: bool = False
    tickers_touched: set[str] = field(default_factory=set)

    @property
    def available(self) -> Decimal:
        return self.amount - self.held

    def shares_of(self, ticker: str) -> Shares:
        return self.shares.setdefault(ticker, Shares())

    def hold_cash(self, amount: Decimal) -> None:
        """Set cash aside. Raises InsufficientFunds unless 0 < amount <= available."""
        if not 0 < amount <= self.available:
            raise InsufficientFunds
        self.held += amount
        self.cash_touched = True

    def release_cash(self, amount: Decimal) -> None:
        """Undo `hold_cash`."""
        self.held -= amount
        self.cash_touched = True

    def hold_shares(self, ticker: str, quantity: int) -> None:
        """Set shares aside. Raises InsufficientShares unless 0 < quantity <= available."""
        shares = self.shares_of(ticker)
        if not 0 < quantity <= shares.available:
            raise InsufficientShares
        shares.held += quantity
        self.tickers_touched.add(ticker)

    def release_shares(self, ticker: str, quantity: int) -> None:
        """Undo `hold_shares`."""
        self.shares_of(ticker).held -= quantity
        self.tickers_touched.add(ticker)

    def move_cash(self, kind: str, cause: UUID, change: Decimal, price: Decimal | None = None) -> Movement:
        """Post cash in (change > 0) or out. Raises InsufficientFunds if more would go out than is available."""
        if -change > self.available:
            raise InsufficientFunds
        self.amount += change
        self.cash_touched = True
        return self._post(CASH, kind, cause, change, self.amount, price)

    def buy(self, cause: UUID, ticker: str, quantity: int, price: Decimal, amount: Decimal) -> None:
        """Post cash out and shares in, at the average price. Raises InsufficientFunds."""
        self.move_cash(Posting.Kind.BUY, cause, -amount, price)
        shares = self.shares_of(ticker)
        cost = shares.average_price * shares.quantity + amount
        shares.quantity += quantity
        shares.average_price = money(cost / shares.quantity)
        self._move_shares(ticker, Posting.Kind.BUY, cause, quantity, price)

    def sell(self, cause: UUID, ticker: str, quantity: int, price: Decimal, amount: Decimal) -> None:
        """Post shares out and cash in; the average price of what is left stays. Raises InsufficientShares."""
        shares = self.shares_of(ticker)
        if quantity > shares.available:
            raise InsufficientShares
        shares.quantity -= quantity
        self._move_shares(ticker, Posting.Kind.SELL, cause, -quantity, price)
        self.move_cash(Posting.Kind.SELL, cause, amount, price)

    def _move_shares(self, ticker: str, kind: str, cause: UUID, change: int, price: Decimal) -> None:
        self.tickers_touched.add(ticker)
        self._post(ticker, kind, cause, Decimal(change), Decimal(self.shares[ticker].quantity), price)

    def _post(
        self, ticker: str, kind: str, cause: UUID, change: Decimal, total: Decimal, price: Decimal | None
    ) -> Movement:
        movement = Movement(self.customer_id, ticker, kind, cause, change, total, price)
        self.movements.append(movement)
        return movement


class Books:
    """The open books of a set of customers, in the transaction that locked them."""

    def __init__(self, accounts: Iterable[Account]) -> None:
        self._accounts = {account.customer_id: account for account in accounts}

    def __getitem__(self, customer_id: int) -> Account:
        return self._accounts[customer_id]

    def __contains__(self, customer_id: int) -> bool:
        return customer_id in self._accounts

    def __iter__(self) -> Iterator[Account]:
        return iter(self._accounts.values())

    @property
    def customer_ids(self) -> list[int]:
        return list(self._accounts)

    def load_shares(self, wanted: Iterable[tuple[int, str]]) -> None:
        """Read what these customers have of these stocks, by id and ticker. To be called before shares are touched.

        Again: what is in memory already, changed perhaps, stays.
        """
        pairs = [(customer_id, ticker) for customer_id, ticker in set(wanted) if ticker not in self[customer_id].shares]
        if not pairs:
            return
        with connection.cursor() as cursor:
            cursor.execute(READ_SHARES, [list(column) for column in zip(*pairs, strict=True)])
            for customer_id, ticker, *has in cursor.fetchall():
                self[customer_id].shares[ticker] = Shares(*has)

    def write(self) -> None:
        """Write all that changed: balances, positions, postings, each in one statement. Again: nothing is left."""
        with connection.cursor() as cursor:
            if balances := [account for account in self if account.cash_touched]:
                cursor.execute(
                    WRITE_BALANCES,
                    [
                        [account.customer_id for account in balances],
                        [account.amount for account in balances],
                        [account.held for account in balances],
                    ],
                )
            if positions := [(account, ticker) for account in self for ticker in sorted(account.tickers_touched)]:
                shares = [account.shares[ticker] for account, ticker in positions]
                cursor.execute(
                    WRITE_POSITIONS,
                    [
                        [account.customer_id for account, _ in positions],
                        [ticker for _, ticker in positions],
                        [row.quantity for row in shares],
                        [row.held for row in shares],
                        [row.average_price for row in shares],
                    ],
                )
            if movements := [movement for account in self for movement in account.movements]:
                cursor.execute(
                    WRITE_POSTINGS,
                    [
                        [row.customer_id for row in movements],
                        [row.ticker for row in movements],
                        [row.kind for row in movements],
                        [row.cause for row in movements],
                        [row.change for row in movements],
                        [row.total for row in movements],
                        [row.price for row in movements],
                    ],
                )
        for account in self:
            account.cash_touched = False
            account.tickers_touched.clear()
            account.movements.clear()


def open_books(customer_ids: Iterable[int]) -> Books:
    """Lock these customers' books until the transaction ends, and read their cash. Needs a transaction.

    Customers that do not exist are left out. Waits for whoever has one of them, at most the database's lock_timeout.
    """
    rows = (
        Balance.objects.select_for_update(of=("self",), no_key=True)
        .filter(customer_id__any_of=customer_ids)
        .order_by("customer_id")
    )
    return Books(Account(*row) for row in rows.values_list("customer_id", "amount", "held"))


# Sets go in as arrays: one statement, one plan, however many rows. The ORM's bulk_update would write a CASE with a
# branch for every row and column, which costs both sides more than the rest of a turn.
READ_SHARES = """
    SELECT customer_id, ticker, quantity, held, average_price
    FROM unnest(%s::bigint[], %s::text[]) AS wanted (customer_id, ticker)
    JOIN accounts_position USING (customer_id, ticker)
"""
WRITE_BALANCES = """
    UPDATE accounts_balance AS b SET amount = new.amount, held = new.held, modified_at = statement_timestamp()
    FROM unnest(%s::bigint[], %s::numeric[], %s::numeric[]) AS new (customer_id, amount, held)
    WHERE b.customer_id = new.customer_id
"""
WRITE_POSITIONS = """
    INSERT INTO accounts_position (customer_id, ticker, quantity, held, average_price)
    SELECT * FROM unnest(%s::bigint[], %s::text[], %s::bigint[], %s::bigint[], %s::numeric[])
    ON CONFLICT (customer_id, ticker) DO UPDATE
    SET quantity = excluded.quantity, held = excluded.held, average_price = excluded.average_price,
        modified_at = statement_timestamp()
"""
WRITE_POSTINGS = """
    INSERT INTO accounts_posting (customer_id, ticker, kind, cause, change, total, price)
    SELECT * FROM unnest(%s::bigint[], %s::text[], %s::text[], %s::uuid[], %s::numeric[], %s::numeric[], %s::numeric[])
"""
