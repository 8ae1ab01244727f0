"""The audit's rules about fees: they are posted, and they follow the schedule."""

from accounts.audit import Rule, Scope
from trades.audit.sql import CLOCKS_APART_SECONDS_MAX

# What each fee should have been at the rate in force, as far as the schedule was known when the trade settled.
_EXPECTED = f"""
    SELECT trade.id, trade.type, trade.amount, trade.customer_id, trade.fees, coalesce(sum(due.fee), 0) AS due
    FROM trades_trade AS trade
    LEFT JOIN LATERAL (
        SELECT DISTINCT ON (rate.kind) ceil(100 * least(trade.amount * rate.per_usd + trade.quantity * rate.per_share,
                                                        coalesce(rate.maximum, 'Infinity'))) / 100 AS fee
        FROM trades_feerate AS rate
        WHERE rate.first_day <= (trade.executed_at AT TIME ZONE 'America/New_York')::date
          AND (rate.last_day IS NULL OR rate.last_day >= (trade.executed_at AT TIME ZONE 'America/New_York')::date)
          AND rate.at < trade.settled_at AND (trade.type = 'SELL' OR rate.kind = 'cat')
        ORDER BY rate.kind, rate.id DESC
    ) AS due ON true
    WHERE trade.fees IS NOT NULL AND NOT EXISTS (
        SELECT FROM trades_feerate AS rate
        WHERE abs(extract(epoch FROM rate.at - trade.settled_at)) < {CLOCKS_APART_SECONDS_MAX})
    GROUP BY trade.id, trade.type, trade.amount, trade.customer_id, trade.fees
"""
RULES = (
    Rule(
        "fees_are_posted",
        "Fees don't match their posting",
        "A FILLED trade's fees are one cash posting, for a sale at most its proceeds; no other trade has fees.",
        """
        SELECT trade.customer_id AS "customerId", trade.id AS "tradeId",
               format('fees %s, posted: %s', coalesce(trade.fees::text, 'none'),
               coalesce(posting.change::text, 'nothing')) AS detail
        FROM trades_trade AS trade
        LEFT JOIN accounts_posting AS posting ON posting.cause = trade.id AND posting.kind = 'fee'
        LEFT JOIN LATERAL (
            SELECT sum(value::numeric) AS total FROM jsonb_each_text(trade.fees)
        ) AS fee ON true
        WHERE coalesce(-posting.change, 0) <> coalesce(fee.total, 0)
        OR (trade.status <> 'FILLED' AND trade.fees IS NOT NULL)
        OR (trade.type = 'SELL' AND fee.total > trade.amount)
        """,
        Scope.CAUSE,
    ),
    Rule(
        "fees_follow_the_schedule",
        "Fees don't follow the fee schedule",
        "A sale's fees are those of the schedule, at most its proceeds; a purchase's are at most those.",
        f"""
        SELECT customer_id AS "customerId", id AS "tradeId",
               format('fees %s; the schedule makes %s', fees, due) AS detail
        FROM ({_EXPECTED}) AS expected
        CROSS JOIN LATERAL (SELECT coalesce(sum(value::numeric), 0) AS paid FROM jsonb_each_text(fees)) AS fee
        WHERE (CASE type WHEN 'SELL' THEN paid = least(due, amount) ELSE paid <= due END) IS NOT TRUE
        """,
        Scope.CAUSE,
    ),
)
