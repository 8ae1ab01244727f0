"""The audit's rules about corporate actions: what each customer received, and its postings."""

from accounts.audit import Rule

RULES = (
    Rule(
        "entitlement_follows_from_its_action",
        "Each customer's entitlement follows from the shares that counted and from the corporate action's terms.",
        """
        SELECT entitlement.customer_id AS "customerId", entitlement.id AS "cause", action.ticker AS "stockTicker",
               format('%s shares became %s, with %s USD', entitlement.shares, entitlement.shares_after,
               entitlement.cash) AS detail
        FROM trades_entitlement AS entitlement JOIN trades_corporateaction AS action ON action.id = action_id
        WHERE (action.state IN ('applying', 'done') AND CASE action.kind
            WHEN 'CASH_DIVIDEND' THEN entitlement.shares_after = entitlement.shares
                AND abs(entitlement.cash - entitlement.shares * amount_per_share) <= 0.00005
            WHEN 'SPLIT' THEN entitlement.shares_after = div(entitlement.shares::numeric * numerator, denominator)
                AND abs(entitlement.cash - coalesce(reference_price, 0)
                        * mod(entitlement.shares::numeric * numerator, denominator) / denominator) <= 0.00005
        END) IS NOT TRUE
        """,
    ),
    Rule(
        "entitlement_has_its_postings",
        "Each customer's entitlement was posted exactly once.",
        """
        SELECT entitlement.customer_id AS "customerId", entitlement.id AS "cause", action.ticker AS "stockTicker",
               format('%s shares and %s USD; posted: %s', entitlement.shares_after - entitlement.shares,
               entitlement.cash, coalesce(string_agg(posting.change || ' ' || posting.ticker, ', '), 'nothing')
               ) AS detail
        FROM trades_entitlement AS entitlement JOIN trades_corporateaction AS action ON action.id = action_id
        LEFT JOIN accounts_posting AS posting ON posting.cause = entitlement.id
        GROUP BY entitlement.id, action.id
        HAVING coalesce(sum(posting.change) FILTER (WHERE posting.ticker = ''), 0) <> entitlement.cash
        OR coalesce(sum(posting.change) FILTER (WHERE posting.ticker = action.ticker), 0)
           <> entitlement.shares_after - entitlement.shares
        OR bool_or(posting.customer_id <> entitlement.customer_id OR posting.ticker NOT IN ('', action.ticker)
                   OR posting.kind <> CASE action.kind WHEN 'SPLIT' THEN 'split' ELSE 'dividend' END)
        """,
    ),
    Rule(
        "posting_has_its_entitlement",
        "Every dividend and split in the books belongs to a corporate action and to the customer entitled to it.",
        """
        SELECT customer_id AS "customerId", id AS "postingId", cause,
               format('a %s of %s %s that no corporate action caused', kind, change,
               coalesce(nullif(ticker, ''), 'USD')) AS detail
        FROM accounts_posting AS posting
        WHERE kind IN ('dividend', 'split') AND NOT EXISTS (
            SELECT FROM trades_entitlement AS entitlement
            WHERE entitlement.id = posting.cause AND entitlement.customer_id = posting.customer_id)
        """,
    ),
    Rule(
        "corporate_action_counts_its_entitlements",
        "A corporate action's totals match the customers that it reached, their shares, and their cash.",
        """
        SELECT action.ticker AS "stockTicker",
               format('counted %s holders, %s shares and %s USD; there are %s, %s and %s',
               holders, action.shares, action.cash, count(entitlement.id), coalesce(sum(entitlement.shares), 0),
               coalesce(sum(entitlement.cash), 0)) AS detail
        FROM trades_corporateaction AS action LEFT JOIN trades_entitlement AS entitlement ON action_id = action.id
        GROUP BY action.id
        HAVING holders <> count(entitlement.id) OR action.shares <> coalesce(sum(entitlement.shares), 0)
        OR action.cash <> coalesce(sum(entitlement.cash), 0)
        """,
    ),
)
