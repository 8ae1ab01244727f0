"""Corporate actions: read their announcements, approve them, and apply them to every holder, batch by batch.

A sweep may die at any moment, and another one continues: the action records the last customer reached, a constraint
allows each customer one entitlement, and a batch is one transaction. Before anything but a dividend is applied, trading
in the stock is halted, and trades IN PROGRESS must have ended. PLACED trades in it are cancelled, or continue under the
new ticker.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import structlog
from django.db import connection, transaction
from django.db.models import Q
from django.db.models.functions import Now
from django.utils import timezone

from accounts.ledger import open_books
from accounts.models import Posting
from accounts.money import money
from exchange import calendar, exchange_time, gateway
from exchange.messages import Malformed, parse_amount, storable
from exchange.models import Stock
from trades import ticker_change, transitions
from trades.lane import ring_on_commit
from trades.models import CorporateAction, Entitlement, Reason, Status, Trade
from trades.transitions import Ending
from web.timezones import EASTERN
from web.writes import Writes

Kind, State = CorporateAction.Kind, CorporateAction.State
CUSTOMERS_PER_BATCH = 200
BATCHES_PER_ROUND = 20
HALT_SECONDS = 2  # from the halt to the first batch, so that every process has seen the halt

log = structlog.get_logger()


class NotWaiting(Exception):
    """The corporate action is not waiting for approval."""


class CannotApply(Exception):
    """The corporate action cannot be applied in its present form. The message says why."""


@dataclass(frozen=True, slots=True)
class Preview:
    """What a corporate action would affect today: the number of holders, their shares, and the cash to pay, USD.

    `open_trades` counts the open trades in the stock. A dividend leaves them alone.
    """

    holders: int
    shares: int
    cash: Decimal
    open_trades: int


def read_announcements() -> int:
    """Store the corporate actions that were announced since the last call; return how many there were.

    Idempotent: yes. A malformed announcement is logged and skipped.

    Raises:
        Unknown: The exchange gave no answer that can be trusted.
    """
    last = CorporateAction.objects.exclude(sequence=None).order_by("-sequence").values_list("sequence", flat=True)
    rows = gateway.corporate_actions(last.first() or 0)
    for row in rows:
        try:
            action = _parse_announcement(row)
        except (KeyError, TypeError, ValueError, ArithmeticError, Malformed) as error:
            log.error("malformed corporate action skipped", row=str(row)[:500], error=repr(error))
            continue
        CorporateAction.objects.bulk_create([action], ignore_conflicts=True)
    return len(rows)


def _parse_announcement(row: dict[str, Any]) -> CorporateAction:
    def amount(name: str) -> Decimal | None:
        return None if row[name] is None else parse_amount(row[name])

    return CorporateAction(
        announcement=storable(row["actionId"], 128),
        sequence=row["sequence"],
        kind=Kind(row["kind"]),
        ticker=storable(row["stockTicker"], 12),
        ex_date=datetime.fromisoformat(row["exDate"]).date(),
        pay_date=row["payDate"] and datetime.fromisoformat(row["payDate"]).date(),
        amount_per_share=amount("amountPerShare"),
        numerator=row["numerator"],
        denominator=row["denominator"],
        new_ticker=storable(row["newTicker"] or "", 12),
        reference_price=amount("referencePrice"),
    )


def enter(action: CorporateAction, by: str) -> CorporateAction:
    """Store a corporate action that two members of staff have agreed on, already approved.

    Raises:
        CannotApply: It cannot be applied in its present form.
        IntegrityError: Its terms are incomplete.
    """
    action.entered_by = action.approved_by = by
    action.state = State.APPROVED
    _check(action)
    action.save(force_insert=True)
    return action


def approve(action_id: UUID, by: str) -> CorporateAction:
    """Approve an announced corporate action, so that it is applied once its date has come.

    Raises:
        NotWaiting: It is not waiting for approval.
        CannotApply: It cannot be applied in its present form.
    """
    action = CorporateAction.objects.get(id=action_id)
    _check(action)
    _decide(action_id, State.APPROVED, by)
    action.refresh_from_db()
    return action


def decline(action_id: UUID, by: str) -> None:
    """Decline an announced corporate action, so that it is never applied.

    Raises:
        NotWaiting: It is not waiting for approval.
    """
    _decide(action_id, State.DECLINED, by)


def _decide(action_id: UUID, state: CorporateAction.State, by: str) -> None:
    waiting = CorporateAction.objects.filter(id=action_id, state=State.ANNOUNCED)
    if not waiting.update(state=state, approved_by=by):
        raise NotWaiting


def _check(action: CorporateAction) -> None:
    if problem := ticker_change.problem_with(action):
        raise CannotApply(problem)
    if action.kind == Kind.SPLIT and action.reference_price is None and action.denominator != 1:
        raise CannotApply("Paying cash in lieu of fractions needs a reference price.")


def preview(action: CorporateAction) -> Preview:
    """Return what a corporate action would do if it were applied to today's holders."""
    holders = shares = 0
    cash = Decimal(0)
    with connection.cursor() as cursor:
        cursor.execute(POSITIONS, [action.ticker])
        for quantity, count in cursor.fetchall():
            holders += count
            shares += quantity * count
            cash += money(action.outcome(quantity)[1]) * count
    is_open = Q(status__in=[Status.PLACED, Status.IN_PROGRESS])
    return Preview(holders, shares, cash, Trade.objects.filter(is_open, ticker=action.ticker).count())


def apply_due() -> int:
    """Continue to apply every approved corporate action that is due; return how many customers it reached.

    Idempotent: yes. Any number of sweeps may run.
    """
    now, reached = exchange_time.now() or timezone.now(), 0
    for action in CorporateAction.objects.filter(state__in=[State.APPROVED, State.APPLYING]).order_by("ex_date", "id"):
        if now >= _effective_at(action):
            reached += _apply(action)
    return reached


def _effective_at(action: CorporateAction) -> datetime:
    """Return when it takes effect: a dividend at the start of its pay date, any other at the opening on its ex-date.

    If the exchange has no session on the ex-date, it takes effect at the next opening.
    """
    if action.kind == Kind.CASH_DIVIDEND and action.pay_date is not None:
        return datetime.combine(action.pay_date, datetime.min.time(), EASTERN)
    begins = datetime.combine(action.ex_date, datetime.min.time(), EASTERN)
    session = calendar.next_session(begins)
    return session.opens_at if session else begins


def _apply(action: CorporateAction) -> int:
    if action.state == State.APPROVED:
        approved = CorporateAction.objects.filter(id=action.id, state=State.APPROVED)
        approved.update(state=State.APPLYING, began_at=Now())
        ticker_change.forget()
        action.refresh_from_db()
    if action.kind != Kind.CASH_DIVIDEND:
        # If one of the clocks is wrong, there is no wait. That is safe: open trades are looked up again under the lock.
        if action.began_at is None or abs(timezone.now() - action.began_at) < timedelta(seconds=HALT_SECONDS):
            return 0
        if not clear_trades(action):
            return 0
    reached = 0
    for _ in range(BATCHES_PER_ROUND):
        batch = _next_holders(action) if action.kind != Kind.DELISTING else []
        if not batch:
            _finish(action)
            break
        if not _apply_batch(action, batch):
            break
        action.refresh_from_db()
        reached += len(batch)
    return reached


def clear_trades(action: CorporateAction) -> bool:
    """Cancel or rename the stock's PLACED trades; return whether no other trade in it is open, so it can be applied."""
    in_stock = Trade.objects.filter(ticker=action.ticker)
    while ids := list(
        in_stock.filter(status=Status.PLACED).values_list("customer_id", flat=True)[:CUSTOMERS_PER_BATCH]
    ):
        with transaction.atomic(durable=True):
            open_books(set(ids))
            placed = list(in_stock.filter(status=Status.PLACED, customer_id__in=set(ids)))
            if action.kind == Kind.TICKER_CHANGE:
                transitions.rename(placed, action.new_ticker)
            else:
                endings = [Ending(trade, Status.REJECTED, Reason.CORPORATE_ACTION) for trade in placed]
                with Writes() as writes:
                    transitions.end(writes, endings, "sweep")
                ring_on_commit(set(ids))
    return not in_stock.filter(status=Status.IN_PROGRESS).exists()


def _next_holders(action: CorporateAction) -> list[tuple[int, int]]:
    """Return the next customers and their shares, as of now or, for a dividend, as of the close before the ex-date."""
    with connection.cursor() as cursor:
        if action.kind == Kind.CASH_DIVIDEND:
            close = datetime.combine(action.ex_date, datetime.min.time(), EASTERN)
            cursor.execute(HELD_BEFORE, [action.ticker, action.cursor, CUSTOMERS_PER_BATCH, action.ticker, close])
        else:
            cursor.execute(HELD_NOW, [action.ticker, action.cursor, CUSTOMERS_PER_BATCH])
        return [(customer_id, int(shares)) for customer_id, shares in cursor.fetchall()]


def _apply_batch(action: CorporateAction, batch: Sequence[tuple[int, int]]) -> bool:
    """Apply the action to these customers in one transaction; return whether it was applied.

    It is not applied if another sweep has already done so, or if one of the customers has an open trade in the stock.
    That happens when a process was suspended while it placed or claimed the trade, and had not seen the halt.
    """
    with transaction.atomic(durable=True):
        books = open_books(customer_id for customer_id, _ in batch)
        is_open = Q(customer_id__in=books.customer_ids, status__in=[Status.PLACED, Status.IN_PROGRESS])
        if action.kind != Kind.CASH_DIVIDEND and Trade.objects.filter(is_open, ticker=action.ticker).exists():
            return False
        unchanged = CorporateAction.objects.filter(id=action.id, state=State.APPLYING, cursor=action.cursor)
        if not unchanged.update(cursor=batch[-1][0]):
            return False
        tickers = [ticker for ticker in (action.ticker, action.new_ticker) if ticker]
        books.load_shares((customer_id, ticker) for customer_id, _ in batch for ticker in tickers)
        entitlements: list[Entitlement] = []
        for customer_id, shares in batch:
            account = books[customer_id]
            after, value = action.outcome(shares)
            cash = money(value)
            is_renamed = action.kind == Kind.TICKER_CHANGE
            if not shares or (after == shares and not cash and not is_renamed):
                continue
            entitlement = Entitlement(
                action_id=action.id, customer_id=customer_id, shares=shares, shares_after=after, cash=cash
            )
            entitlements.append(entitlement)
            if is_renamed:
                entitlement.cost = account.shares_of(action.ticker).cost
                account.rename_shares(action.ticker, action.new_ticker, entitlement.id)
            if action.kind == Kind.SPLIT:
                account.split_shares(action.ticker, entitlement.id, after)
            if cash:
                kind = Posting.Kind.SPLIT if action.kind == Kind.SPLIT else Posting.Kind.DIVIDEND
                account.move_cash(kind, entitlement.id, cash)
        _insert_entitlements(entitlements)
        books.write()
        CorporateAction.objects.filter(id=action.id).update(
            holders=action.holders + len(entitlements),
            shares=action.shares + sum(row.shares for row in entitlements),
            cash=action.cash + sum((row.cash for row in entitlements), Decimal(0)),
        )
    return True


def _insert_entitlements(entitlements: Sequence[Entitlement]) -> None:
    """Insert entitlements with one statement, each at the end of its customer's feed."""
    with connection.cursor() as cursor:
        cursor.execute(
            INSERT_ENTITLEMENTS,
            [
                [row.id for row in entitlements],
                [row.action_id for row in entitlements],
                [row.customer_id for row in entitlements],
                [row.shares for row in entitlements],
                [row.shares_after for row in entitlements],
                [row.cash for row in entitlements],
                [row.cost for row in entitlements],
            ],
        )


def _finish(action: CorporateAction) -> None:
    if action.kind == Kind.TICKER_CHANGE:
        ticker_change.finish(action.ticker, action.new_ticker)
    if action.kind == Kind.DELISTING:
        Stock.objects.filter(ticker=action.ticker).update(listed=False)
    unchanged = CorporateAction.objects.filter(id=action.id, state=State.APPLYING, cursor=action.cursor)
    if unchanged.update(state=State.DONE, done_at=Now()):
        log.info("corporate action applied", action=str(action), holders=action.holders, cash=str(action.cash))


INSERT_ENTITLEMENTS = f"""
    INSERT INTO trades_entitlement (id, action_id, customer_id, shares, shares_after, cash, cost, xact, event)
    SELECT *, {transitions.NEXT_XACT.format("new")}, nextval(pg_get_serial_sequence('trades_statuschange', 'id'))
    FROM unnest(%s::uuid[], %s::uuid[], %s::bigint[], %s::bigint[], %s::bigint[], %s::numeric[], %s::numeric[])
        AS new (id, action_id, customer_id, shares, shares_after, cash, cost)
"""
POSITIONS = """
    SELECT quantity, count(*) FROM accounts_position WHERE ticker = %s AND quantity > 0 GROUP BY quantity
"""
HELD_NOW = """
    SELECT customer_id, quantity FROM accounts_position WHERE ticker = %s AND customer_id > %s
    ORDER BY customer_id LIMIT %s
"""
# Every customer that ever held the stock has a position row. A customer's postings are in the order of their ids.
HELD_BEFORE = """
    SELECT holder.customer_id, coalesce(held.total, 0) FROM (
        SELECT customer_id FROM accounts_position WHERE ticker = %s AND customer_id > %s ORDER BY customer_id LIMIT %s
    ) AS holder
    LEFT JOIN LATERAL (
        SELECT total FROM accounts_posting AS p
        WHERE p.customer_id = holder.customer_id AND p.ticker = %s AND p.created_at < %s ORDER BY p.id DESC LIMIT 1
    ) AS held ON true
    ORDER BY holder.customer_id
"""
