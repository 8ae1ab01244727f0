"""Write notices of how trades ended, for the customers that want them."""

from django.db import connection, transaction

from accounts import notices
from trades.models import Status, Trade
from web.templatetags.figures import usd

# A status change becomes visible when its transaction commits, at most TRANSACTION_TIMEOUT_MS (15 s) after it was
# written. So changes are read again until they are this old.
LOOK_AGAIN_SECONDS = 30
CHANGES_A_ROUND_MAX = 20_000
MAILED_AFTER_SECONDS = 10  # so that trades that end together share one email
PLACE = "trade notices"


def enter_notices() -> int:
    """Write a notice for each trade that has ended since the last round; return how many.

    No event is served to anybody before every transaction that began earlier has ended. So the notices are prepared
    first, and the transaction only writes them.

    Idempotent: yes. A trade gets one notice. Trades that ended before the very first round get none.
    """
    place = _place()
    if place is None:
        return 0
    changes: dict[str, int | str] = {
        "place": place,
        "most": CHANGES_A_ROUND_MAX,
        "name": PLACE,
        "look_again": LOOK_AGAIN_SECONDS,
    }
    with connection.cursor() as cursor:
        cursor.execute(NEXT_PLACE, changes)  # first, so that the next statement sees every change up to there
        changes["next"] = cursor.fetchone()[0]
    entries = [_notice(trade) for trade in Trade.objects.raw(ENDED, changes)]
    with transaction.atomic(durable=True), connection.cursor() as cursor:
        cursor.execute(MOVE_PLACE, changes)
        if not cursor.rowcount:
            return 0  # another process has done this round
        notices.enter_all(notices.Kind.TRADES, entries, MAILED_AFTER_SECONDS)
    return len(entries)


def _place() -> int | None:
    """Return the id of the last status change processed. None in the first round, which starts with later changes."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT place FROM accounts_noticeplace WHERE name = %s", [PLACE])
        row = cursor.fetchone()
        if row:
            return int(row[0])
        cursor.execute(BEGIN, [PLACE])
    return None


def _notice(trade: Trade) -> notices.Entry:
    shares = f"{trade.quantity:,} {trade.ticker}"
    if trade.status == Status.FILLED:
        done = "Bought" if trade.type == "BUY" else "Sold"
        title = f"{done} {shares} at {usd(trade.price)}"
        text = f"Your trade was filled: {trade.quantity:,} shares at {usd(trade.price)}, {usd(trade.amount)} in total."
    else:
        title = f"Not executed: {'buy' if trade.type == 'BUY' else 'sell'} {shares}"
        text = f"Your trade was rejected. {trade.reason} Nothing was bought or sold."
    text = f"{text} It was your trade number {trade.sequence}."
    return notices.Entry(trade.customer_id, str(trade.id), title, text)


BEGIN = """
    INSERT INTO accounts_noticeplace (name, place)
    SELECT %s, coalesce(max(id), 0) FROM trades_statuschange ON CONFLICT DO NOTHING
"""
CHANGES = "SELECT * FROM trades_statuschange WHERE id > %(place)s ORDER BY id LIMIT %(most)s"
ENDED = f"""
    SELECT trade.* FROM ({CHANGES}) AS change JOIN trades_trade AS trade ON trade.id = change.trade_id
    WHERE change.to_status IN ('FILLED', 'REJECTED') AND trade.reason_code <> 'cancelled'
      AND NOT EXISTS (
          SELECT FROM accounts_mutednotice AS muted
          WHERE muted.customer_id = trade.customer_id AND muted.kind = 'trades')
      AND NOT EXISTS (
          SELECT FROM accounts_notice AS notice
          WHERE notice.customer_id = trade.customer_id AND notice.kind = 'trades' AND notice.cause = trade.id::text)
    ORDER BY change.id
"""
# A change in the future was written by another clock, before a failover.
NEXT_PLACE = f"""
    SELECT coalesce((
        SELECT max(id) FROM ({CHANGES}) AS change
        WHERE at NOT BETWEEN statement_timestamp() - make_interval(secs => %(look_again)s) AND statement_timestamp()
    ), %(place)s)
"""
MOVE_PLACE = "UPDATE accounts_noticeplace SET place = %(next)s WHERE name = %(name)s AND place = %(place)s"
