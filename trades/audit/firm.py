"""The audit's rules about the firm's own accounts."""

from accounts.audit import Rule, Scope
from trades.trial_balance import movements

RULES = (
    Rule(
        "trial_balance_is_zero",
        "Trial balance isn't zero",
        "On each day, the changes of the firm's accounts, including customers' cash, add up to zero.",
        f"""
        SELECT day, format('debits less credits are %s USD', sum(amount)) AS detail
        FROM ({movements()}) AS moved GROUP BY day HAVING sum(amount) <> 0
        """,
        Scope.POSTING,
    ),
    Rule(
        "kept_totals_are_their_postings",
        "Stored totals of a day don't match its postings",
        "The stored totals of a day match what its postings moved on each of the firm's accounts.",
        f"""
        SELECT day, account, part, format('%s USD are stored, its postings add up to %s',
               coalesce(kept.amount::text, 'no'), coalesce(moved.amount, 0)) AS detail
        FROM trades_daytotal AS kept FULL JOIN ({movements()}) AS moved USING (day, account, part)
        WHERE kept.amount IS DISTINCT FROM moved.amount AND day <= (SELECT max(day) FROM trades_daytotal)
        """,
        Scope.DAY,
    ),
)
