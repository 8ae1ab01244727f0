"""The audit's rules about the history of trades: the status changes, their order, and their times."""

from collections.abc import Iterator

from accounts.audit import Rule, Scope
from trades.audit.sql import CLOCKS_APART_SECONDS_MAX, FINAL_TEXTS, texts
from trades.models import TRANSITIONS, Status


def _legal_histories(status: str = Status.PLACED, path: str = f">{Status.PLACED}") -> Iterator[tuple[str, str]]:
    """Yield every status with each history that TRANSITIONS allows for it."""
    yield str(status), path
    for following in sorted(TRANSITIONS.get(Status(status), ())):
        yield from _legal_histories(following, f"{path}, {status}>{following}")


HISTORIES = ", ".join(f"({texts([status, history])})" for status, history in _legal_histories())

RULES = (
    Rule(
        "history_leads_to_the_status",
        "Trade's history doesn't lead to its status",
        "A trade's history is an allowed series of status changes that ends in its status; none follows a final one.",
        f"""
        SELECT trade.customer_id AS "customerId", trade.id AS "tradeId",
               format('the trade is %s, its history %s', trade.status, coalesce(history.steps, 'missing')) AS detail
        FROM trades_trade AS trade
        LEFT JOIN (
            SELECT trade_id, string_agg(from_status || '>' || to_status, ', ' ORDER BY id) AS steps
            FROM trades_statuschange GROUP BY trade_id
        ) AS history ON history.trade_id = trade.id
        WHERE ((trade.status, history.steps) IN ({HISTORIES})) IS NOT TRUE
        """,
        Scope.CAUSE,
    ),
    Rule(
        "history_has_the_trades_times",
        "Trade's times don't match its history",
        "A trade's times of placing, claiming, and settling match its history.",
        """
        SELECT trade.customer_id AS "customerId", trade.id AS "tradeId", format('%s at %s, by its history at %s',
               move.to_status, coalesce(happened.at::text, 'no time'), move.at) AS detail
        FROM trades_trade AS trade
        JOIN trades_statuschange AS move ON move.trade_id = trade.id
        CROSS JOIN LATERAL (SELECT CASE move.to_status
            WHEN 'PLACED' THEN trade.placed_at WHEN 'IN PROGRESS' THEN trade.claimed_at ELSE trade.settled_at END AS at
        ) AS happened
        WHERE move.at IS DISTINCT FROM happened.at
        """,
        Scope.CAUSE,
    ),
    Rule(
        "times_go_forward",
        "Trade's times are out of order",
        "A trade was placed, then claimed, then settled, as far as clocks can tell.",
        f"""
        SELECT customer_id AS "customerId", id AS "tradeId", format('placed at %s, claimed at %s, settled at %s',
               placed_at, coalesce(claimed_at::text, 'no time'), coalesce(settled_at::text, 'no time')) AS detail
        FROM trades_trade
        WHERE coalesce(claimed_at, settled_at) < placed_at - interval '{CLOCKS_APART_SECONDS_MAX} s'
        OR settled_at < claimed_at - interval '{CLOCKS_APART_SECONDS_MAX} s'
        """,
        Scope.CAUSE,
    ),
    Rule(
        "sent_in_line",
        "Trade was sent out of order",
        "A trade was claimed after every earlier trade of its customer had ended: in order, and one at a time.",
        f"""
        SELECT customer_id AS "customerId", id AS "tradeId",
               format('number %s was claimed while an earlier one was open', sequence) AS detail
        FROM (
            SELECT trade.customer_id, trade.id, trade.sequence, claim.id AS claim,
                   max(coalesce(ending.id, {2**63 - 1})) OVER (
                       PARTITION BY trade.customer_id ORDER BY trade.sequence
                       ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
                   ) AS last_ending
            FROM trades_trade AS trade
            LEFT JOIN trades_statuschange AS claim ON claim.trade_id = trade.id AND claim.to_status = 'IN PROGRESS'
            LEFT JOIN trades_statuschange AS ending
                ON ending.trade_id = trade.id AND ending.to_status IN ({FINAL_TEXTS})
        ) AS line
        WHERE claim < last_ending
        """,
        Scope.LINE,
    ),
    Rule(
        "status_change_is_of_its_trade",
        "Status change doesn't belong to its customer's trade",
        "Every status change belongs to a trade and to the trade's customer.",
        """
        SELECT change.customer_id AS "customerId", change.trade_id AS "tradeId",
               format('a change to %s of %s', change.to_status,
               coalesce('a trade of customer ' || trade.customer_id, 'no trade')) AS detail
        FROM trades_statuschange AS change LEFT JOIN trades_trade AS trade ON trade.id = change.trade_id
        WHERE trade.customer_id IS DISTINCT FROM change.customer_id
        """,
        Scope.CAUSE,
    ),
    Rule(
        "feed_is_in_order",
        "Event feed is out of order",
        "Transaction ids are ids that have been used, and never decrease along a trade's history or a line's placings.",
        """
        SELECT customer_id AS "customerId", trade_id AS "tradeId",
               format('transaction %s, after %s', xact, before) AS detail
        FROM (
            SELECT change.customer_id, change.trade_id, change.xact, greatest(
                lag(change.xact) OVER (PARTITION BY change.trade_id ORDER BY change.id),
                CASE change.to_status WHEN 'PLACED' THEN
                    lag(change.xact) OVER (PARTITION BY change.customer_id, change.to_status ORDER BY trade.sequence)
                END) AS before
            FROM trades_statuschange AS change JOIN trades_trade AS trade ON trade.id = change.trade_id
        ) AS change
        WHERE xact < before OR xact <= 0 OR xact >= pg_snapshot_xmax(pg_current_snapshot())::text::bigint
              AND xact IS DISTINCT FROM pg_current_xact_id_if_assigned()::text::bigint
        """,
        Scope.LINE,
    ),
)
