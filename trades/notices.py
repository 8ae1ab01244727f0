"""Enter notices of how trades ended, for the customers that want them."""

from datetime import timedelta

from django.db import connection, transaction
from django.db.models.functions import Now
from django.utils import timezone

from accounts import notices
from accounts.models.notice import Notice
from trades.models import Reason, Status, StatusChange, Trade
from web.templatetags.figures import usd

# A status change is seen at latest when the longest transaction (TRANSACTION_TIMEOUT_MS, 15 s) has ended. What is
# younger than this is looked at again in the next round; a notice that is there is not entered twice.
SETTLED_AFTER = timedelta(seconds=30)
CHANGES_A_ROUND_MAX = 20_000
PLACE = "trade notices"


def enter_notices() -> int:
    """Enter a notice for each trade that has ended since the last round; return how many ended.

    Idempotent: a trade has one notice. Trades that ended before the first round ever have none.
    """
    with transaction.atomic(durable=True):
        place = _place()
        if place is None:
            return 0
        changes = list(
            StatusChange.objects.filter(id__gt=place)
            .order_by("id")
            .values("id", "trade_id", "to_status", "at")[:CHANGES_A_ROUND_MAX]
        )
        ended = [change["trade_id"] for change in changes if change["to_status"] in (Status.FILLED, Status.REJECTED)]
        found = Trade.objects.filter(id__in=ended).exclude(reason_code=Reason.CANCELLED)
        wanted = found.exclude(customer_id__in=notices.who_mutes(Notice.Kind.TRADES))
        notices.enter_all(_notice(trade) for trade in wanted)
        settled = timezone.now() - SETTLED_AFTER
        old = [change["id"] for change in changes if change["at"] < settled]
        if old:
            _keep_place(max(old))
    return len(ended)


def _place() -> int | None:
    """Return the status change up to which trades were looked at; None in the first round, which begins from now on."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT place FROM accounts_noticeplace WHERE name = %s FOR UPDATE SKIP LOCKED", [PLACE])
        row = cursor.fetchone()
        if row:
            return int(row[0])
        cursor.execute(BEGIN, [PLACE])
    return None


def _keep_place(place: int) -> None:
    with connection.cursor() as cursor:
        cursor.execute("UPDATE accounts_noticeplace SET place = %s WHERE name = %s", [place, PLACE])


def _notice(trade: Trade) -> Notice:
    shares = f"{trade.quantity:,} {trade.ticker}"
    if trade.status == Status.FILLED:
        done = "Bought" if trade.type == "BUY" else "Sold"
        title = f"{done} {shares} at {usd(trade.price)}"
        text = f"Your trade was filled: {trade.quantity:,} shares at {usd(trade.price)}, {usd(trade.amount)} in total."
    else:
        title = f"Not executed: {'buy' if trade.type == 'BUY' else 'sell'} {shares}"
        text = f"Your trade was rejected. {trade.reason} Nothing was bought or sold."
    return Notice(
        customer_id=trade.customer_id,
        kind=Notice.Kind.TRADES,
        cause=str(trade.id),
        title=title,
        text=f"{text} It is number {trade.sequence} of yours.",
        due_at=Now() + timedelta(seconds=10),  # so that trades that end together come in one mail
    )


BEGIN = """
    INSERT INTO accounts_noticeplace (name, place)
    SELECT %s, coalesce(max(id), 0) FROM trades_statuschange ON CONFLICT DO NOTHING
"""
