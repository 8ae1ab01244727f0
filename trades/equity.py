"""Equity: what an account was worth at given moments, from the holdings in the books and the exchange's prices.

The exchange quotes past prices in today's shares and under today's tickers, so past holdings are converted to both:
shares from before a split count as what they have become, fractions included. The books are not changed.
"""

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from decimal import Decimal

from django.db import connection

from accounts.models import CASH
from accounts.money import money
from trades import ticker_change

Held = dict[str, Decimal]  # cash under CASH, USD; shares under their tickers
PriceSeries = Callable[[str], Sequence[Decimal | None]]


def held_at(customer_id: int, moments: Sequence[datetime]) -> list[Held]:
    """Return the cash and shares of an account at each of these moments, which must be in order of time.

    Shares are converted to today's: adjusted for later splits, under today's ticker. It reads only the postings since
    the first moment, however many earlier ones there are.
    """
    held: list[Held] = []
    if not moments:
        return held
    with connection.cursor() as cursor:
        cursor.execute(HELD, {"customer": customer_id, "first": moments[0], "moments": list(moments)})
        changes: list[Held] = [{} for _ in range(len(moments) + 1)]
        for number, ticker, total in cursor.fetchall():
            changes[number][ticker] = total
    current: Held = {}
    for change in changes[:-1]:
        current = current | change
        held.append(current)
    in_todays = InTodaysShares(customer_id, {ticker for holdings in held for ticker in holdings} - {CASH})
    return [in_todays.of(holdings, moment) for holdings, moment in zip(held, moments, strict=True)]


class InTodaysShares:
    """Converts holdings of the past to today's shares and tickers."""

    def __init__(self, customer_id: int, tickers: Iterable[str]) -> None:
        self._today = {ticker: ticker_change.today(ticker) for ticker in tickers}
        self._splits: dict[str, list[tuple[datetime | None, Decimal]]] = {}
        if not any(ticker_change.was_split(ticker) for ticker in self._today.values()):
            return
        with connection.cursor() as cursor:
            cursor.execute(SPLITS, [customer_id])
            for ticker, numerator, denominator, split_at in cursor.fetchall():
                splits = self._splits.setdefault(ticker_change.today(ticker), [])
                splits.append((split_at, Decimal(numerator) / denominator))

    def of(self, held: Held, moment: datetime) -> Held:
        """Return the holdings of a moment, converted to today's shares and tickers. Cash stays as it is."""
        adjusted: Held = {}
        for ticker, quantity in held.items():
            today = self._today.get(ticker, ticker)
            adjusted[today] = adjusted.get(today, Decimal(0)) + quantity * self.factor(today, moment)
        return adjusted

    def factor(self, ticker: str, moment: datetime) -> Decimal:
        """Return how many of today's shares one share of that moment has become."""
        factor = Decimal(1)
        for split_at, ratio in self._splits.get(self._today.get(ticker, ticker), ()):
            if split_at is None or moment < split_at:
                factor *= ratio
        return factor


def tickers_of(held: Sequence[Held]) -> list[str]:
    """Return the tickers of all stocks in these holdings, sorted."""
    return sorted({ticker for holdings in held for ticker, quantity in holdings.items() if ticker != CASH and quantity})


def equity(held: Sequence[Held], prices_of: PriceSeries) -> list[Decimal | None]:
    """Return what each of these holdings is worth, USD; None where the price of one of its stocks is not known.

    Args:
        prices_of: Returns a ticker's price for each of the holdings.
    """
    price_series = {ticker: prices_of(ticker) for ticker in tickers_of(held)}
    totals: list[Decimal | None] = []
    for number, holdings in enumerate(held):
        values = [
            price * quantity
            for ticker, quantity in holdings.items()
            if ticker != CASH and quantity and (price := price_series[ticker][number]) is not None
        ]
        is_known = len(values) == sum(1 for ticker, quantity in holdings.items() if ticker != CASH and quantity)
        totals.append(money(holdings.get(CASH, Decimal(0)) + sum(values)) if is_known else None)
    return totals


# The splits that have begun, and when each was applied to the customer; null if it has not been yet. For a customer who
# held no shares when it was applied, it is the time at which the split began.
SPLITS = """
    SELECT action.ticker, action.numerator, action.denominator, coalesce(posting.created_at, entitlement.at,
           CASE WHEN action.state = 'done' THEN action.began_at END)
    FROM trades_corporateaction AS action
    LEFT JOIN trades_entitlement AS entitlement ON entitlement.action_id = action.id AND entitlement.customer_id = %s
    LEFT JOIN accounts_posting AS posting
        ON posting.cause = entitlement.id AND posting.kind = 'split' AND posting.ticker = action.ticker
    WHERE action.kind = 'SPLIT' AND action.state IN ('applying', 'done')
"""
# The id of the last posting up to the first moment. A query for later postings starts after it, so it does not have to
# read earlier ones: the index of a customer's postings leads from the newest back to it.
LAST_BEFORE = """COALESCE((
    SELECT id FROM accounts_posting WHERE customer_id = %(customer)s AND created_at <= %(first)s
    ORDER BY id DESC LIMIT 1
), 0)"""

# The holdings at the first moment are those of now, less what has moved since. After that, they are the totals of the
# last posting of each ticker up to each moment. A posting at exactly a moment counts for that moment.
HELD = f"""
    WITH since AS MATERIALIZED (
        SELECT id, ticker, change, total,
               width_bucket(created_at - interval '1 microsecond', %(moments)s::timestamptz[]) AS number
        FROM accounts_posting WHERE customer_id = %(customer)s AND id > {LAST_BEFORE}
    ), has AS (
        SELECT '' AS ticker, amount AS total FROM accounts_balance WHERE customer_id = %(customer)s
        UNION ALL SELECT ticker, quantity FROM accounts_position WHERE customer_id = %(customer)s
    )
    SELECT 0 AS number, ticker, has.total - COALESCE(moved.change, 0)
    FROM has LEFT JOIN (SELECT ticker, sum(change) AS change FROM since GROUP BY ticker) AS moved USING (ticker)
    WHERE has.total <> COALESCE(moved.change, 0)
    UNION ALL
    (SELECT DISTINCT ON (number, ticker) number, ticker, total FROM since ORDER BY number, ticker, id DESC)
"""
