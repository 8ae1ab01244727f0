"""The tables that the audit's rules read, and what their rows are about."""

from accounts.audit.changes import BOOKS_TABLES, Table
from trades.audit.sql import FINAL_TEXTS

TABLES = (
    *BOOKS_TABLES,
    Table(
        name="trades_trade",
        final=f"status IN ({FINAL_TEXTS})",
        cause="id",
        moment="settled_at",
        amounts={"trades": "1"},
        line="""
            SELECT line.* FROM (
                SELECT customer_id, min(sequence) AS sequence FROM trades_trade WHERE {changed} GROUP BY customer_id
            ) AS first CROSS JOIN LATERAL (
                SELECT max(sequence) AS sequence FROM trades_trade
                WHERE customer_id = first.customer_id AND sequence < first.sequence AND claimed_at IS NOT NULL
            ) AS sent
            JOIN trades_trade AS line
                ON line.customer_id = first.customer_id AND line.sequence >= coalesce(sent.sequence, 0)
        """,
    ),
    Table(name="trades_tradecounter", final="false", amounts={"trades": "-last"}),
    Table(name="trades_statuschange", cause="trade_id"),
    Table(name="trades_report", final="handled_at IS NOT NULL", cause="trade_id"),
    Table(name="trades_staffreport", customer=None, final="approved IS NOT NULL", cause="trade_id"),
    Table(
        name="trades_corporateaction",
        customer=None,
        final="state IN ('done', 'declined')",
        concerns=(
            ("trades_entitlement", "o.action_id = t.id"),
            (
                "trades_trade",
                "t.kind = 'TICKER_CHANGE' AND (o.ticker = t.ticker AND o.status IN ('PLACED', 'IN PROGRESS') "
                "OR o.ticker = t.new_ticker AND o.placed_as IS NOT NULL)",
            ),
        ),
    ),
    Table(name="trades_entitlement"),
    Table(name="trades_feerate", customer=None, affects_all=True),
    Table(name="trades_daytotal", customer=None, moment="day::timestamp AT TIME ZONE 'America/New_York'"),
)
