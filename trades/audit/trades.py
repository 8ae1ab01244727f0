"""The audit's rules about trades: their lines, their holds, and their postings."""

from accounts.audit import Rule, Scope
from trades.audit import fees
from trades.audit.sql import CLOCKS_APART_SECONDS_MAX, REASON_TEXTS

RULES = (
    Rule(
        "one_trade_in_flight",
        "More than one trade in progress",
        "A customer has at most one trade IN PROGRESS.",
        """
        SELECT customer_id AS "customerId", min(id::text) AS "tradeId",
               format('%s trades are IN PROGRESS: %s', count(*), string_agg(id::text, ', ')) AS detail
        FROM trades_trade WHERE status = 'IN PROGRESS' GROUP BY customer_id HAVING count(*) > 1
        """,
        Scope.ALL,
    ),
    Rule(
        "line_has_no_gap",
        "Trade numbers have a gap",
        "A customer's trades are numbered from 1, without gaps or duplicates.",
        """
        SELECT customer_id AS "customerId", id AS "tradeId", format('number %s follows %s', sequence, before) AS detail
        FROM (
            SELECT customer_id, id, sequence,
                   coalesce(lag(sequence) OVER (PARTITION BY customer_id ORDER BY sequence), (
                       SELECT max(sequence) FROM public.trades_trade AS earlier
                       WHERE earlier.customer_id = trade.customer_id AND earlier.sequence < trade.sequence
                   ), 0) AS before
            FROM trades_trade AS trade
        ) AS trade
        WHERE sequence <> before + 1
        """,
        Scope.LINE,
    ),
    Rule(
        "counter_is_the_last_number",
        "Trade counter doesn't match the last trade",
        "A customer's counter is the sequence number of the customer's last trade.",
        """
        SELECT customer_id AS "customerId", format('the counter is %s, the last number %s',
               coalesce(counter.last::text, 'missing'), coalesce(line.last::text, 'missing')) AS detail
        FROM trades_tradecounter AS counter
        FULL JOIN (SELECT customer_id, max(sequence) AS last FROM trades_trade GROUP BY customer_id) AS line
        USING (customer_id)
        WHERE counter.last IS DISTINCT FROM line.last
        """,
    ),
    Rule(
        "held_cash_is_the_buy_in_flight",
        "Held cash doesn't match the purchase in progress",
        "The cash on hold is the max_price of the BUY in flight, or 0.",
        """
        SELECT customer_id AS "customerId", trade_id AS "tradeId",
               format('%s USD are held, for a BUY in flight of %s', coalesce(balance.held::text, 'no balance'),
               coalesce(flight.held, 0)) AS detail
        FROM accounts_balance AS balance
        FULL JOIN (
            SELECT customer_id, min(id::text) AS trade_id, sum(max_price) AS held
            FROM trades_trade WHERE status = 'IN PROGRESS' AND type = 'BUY' GROUP BY customer_id
        ) AS flight USING (customer_id)
        WHERE balance.held IS DISTINCT FROM coalesce(flight.held, 0)
        """,
    ),
    Rule(
        "held_shares_are_the_sell_in_flight",
        "Held shares don't match the sale in progress",
        "The shares on hold are those of the SELL in flight, or 0.",
        """
        SELECT customer_id AS "customerId", trade_id AS "tradeId", ticker AS "stockTicker",
               format('%s shares are held, for a SELL in flight of %s', coalesce(position.held::text, 'no position'),
               coalesce(flight.held, 0)) AS detail
        FROM accounts_position AS position
        FULL JOIN (
            SELECT customer_id, ticker, min(id::text) AS trade_id, sum(quantity) AS held
            FROM trades_trade WHERE status = 'IN PROGRESS' AND type = 'SELL' GROUP BY customer_id, ticker
        ) AS flight USING (customer_id, ticker)
        WHERE position.held IS DISTINCT FROM coalesce(flight.held, 0)
        """,
    ),
    Rule(
        "fill_has_its_postings",
        "Filled trade doesn't match its postings",
        "Every FILLED trade has one cash posting and one share posting at its price, and otherwise only fees.",
        """
        SELECT trade.customer_id AS "customerId", trade.id AS "tradeId",
               format('%s %s %s for %s; posted: %s', trade.type, trade.quantity, trade.ticker, trade.amount, coalesce(
                   string_agg(posting.change || ' ' || coalesce(nullif(posting.ticker, ''), 'USD'), ', '), 'nothing')
               ) AS detail
        FROM trades_trade AS trade
        LEFT JOIN accounts_posting AS posting ON posting.cause = trade.id AND posting.kind <> 'fee'
        WHERE trade.status = 'FILLED'
        GROUP BY trade.id, trade.customer_id, trade.type, trade.ticker, trade.quantity, trade.price, trade.amount
        HAVING count(posting.id) <> 2
        OR count(*) FILTER (
            WHERE (posting.customer_id, posting.kind, posting.price, posting.ticker, posting.change) =
            (trade.customer_id, lower(trade.type), trade.price, '',
             CASE trade.type WHEN 'BUY' THEN -trade.amount ELSE trade.amount END)) <> 1
        OR count(*) FILTER (
            WHERE (posting.customer_id, posting.kind, posting.price, posting.ticker, posting.change) =
            (trade.customer_id, lower(trade.type), trade.price, trade.ticker,
             CASE trade.type WHEN 'BUY' THEN trade.quantity ELSE -trade.quantity END)) <> 1
        """,
        Scope.CAUSE,
    ),
    Rule(
        "posting_has_its_fill",
        "Posting has no filled trade",
        "Every buy, sell, and fee in the books belongs to a FILLED trade of the same customer.",
        """
        SELECT customer_id AS "customerId", cause AS "tradeId", id AS "postingId",
               format('a %s of %s %s that no FILLED trade of this customer caused', kind, change,
               coalesce(nullif(ticker, ''), 'USD')) AS detail
        FROM accounts_posting AS posting
        WHERE kind IN ('buy', 'sell', 'fee') AND NOT EXISTS (
            SELECT FROM trades_trade AS trade
            WHERE trade.id = posting.cause AND trade.customer_id = posting.customer_id AND trade.status = 'FILLED')
        """,
        Scope.POSTING,
    ),
    *fees.RULES,
    Rule(
        "fill_adds_up",
        "Fill doesn't add up",
        "A FILLED trade's amount is its price times its quantity, and a BUY's no more than its max_price.",
        """
        SELECT customer_id AS "customerId", id AS "tradeId", format('%s %s at %s for %s, max_price %s',
               type, quantity, price, amount, coalesce(max_price::text, 'none')) AS detail
        FROM trades_trade
        WHERE status = 'FILLED' AND
        (price > 0 AND amount = price * quantity AND (type = 'SELL' OR amount <= max_price)) IS NOT TRUE
        """,
        Scope.CAUSE,
    ),
    Rule(
        "trade_is_as_its_status_says",
        "Trade doesn't fit its status",
        "A trade has exactly the fields that its status requires, and a REJECTED trade has a known reason code.",
        f"""
        SELECT customer_id AS "customerId", id AS "tradeId",
               format('%s, claimed at %s, settled at %s, price %s, amount %s, reason “%s”', status,
               coalesce(claimed_at::text, 'no time'), coalesce(settled_at::text, 'no time'),
               coalesce(price::text, 'none'), coalesce(amount::text, 'none'), reason_code) AS detail
        FROM trades_trade
        WHERE (CASE status
            WHEN 'PLACED' THEN claimed_at IS NULL AND settled_at IS NULL
            WHEN 'IN PROGRESS' THEN claimed_at IS NOT NULL AND settled_at IS NULL AND expires_at IS NOT NULL
                AND CASE type WHEN 'BUY' THEN max_price > 0 ELSE max_price IS NULL END
            WHEN 'FILLED' THEN claimed_at IS NOT NULL AND settled_at IS NOT NULL
            WHEN 'REJECTED' THEN settled_at IS NOT NULL
        END
        AND (status = 'FILLED') = (price IS NOT NULL) AND (status = 'FILLED') = (amount IS NOT NULL)
        AND CASE status WHEN 'REJECTED' THEN reason_code IN ({REASON_TEXTS}) ELSE reason_code = '' END
        AND quantity > 0 AND type IN ('BUY', 'SELL')) IS NOT TRUE
        """,
        Scope.CAUSE,
    ),
    Rule(
        "key_is_used_once",
        "Idempotency key was used twice",
        "A customer used each idempotency key for one trade.",
        """
        SELECT customer_id AS "customerId", min(id::text) AS "tradeId",
               format('the key “%s” has %s trades', left(idempotency_key, 100), count(*)) AS detail
        FROM trades_trade WHERE idempotency_key IS NOT NULL
        GROUP BY customer_id, idempotency_key HAVING count(*) > 1
        """,
    ),
    Rule(
        "line_is_in_the_order_of_time",
        "Trades aren't in the order of time",
        "Trades were placed in the order of their numbers, as far as clocks can tell.",
        f"""
        SELECT customer_id AS "customerId", id AS "tradeId",
               format('placed at %s, the one before it at %s', placed_at, before) AS detail
        FROM (
            SELECT customer_id, id, placed_at,
                   lag(placed_at) OVER (PARTITION BY customer_id ORDER BY sequence) AS before
            FROM trades_trade
        ) AS trade
        WHERE placed_at < before - interval '{CLOCKS_APART_SECONDS_MAX} s'
        """,
        Scope.LINE,
    ),
    Rule(
        "counter_is_of_the_last_trade",
        "Trade counter has the wrong time",
        "A customer's counter has the time and the transaction id of the placing of the last trade.",
        """
        SELECT counter.customer_id AS "customerId", format('the counter has %s and transaction %s, the line %s and %s',
               coalesce(counter.placed_at::text, 'no time'), counter.xact, coalesce(last.placed_at::text, 'no trade'),
               coalesce(placed.xact, 0)) AS detail
        FROM trades_tradecounter AS counter
        LEFT JOIN trades_trade AS last ON last.customer_id = counter.customer_id AND last.sequence = counter.last
        LEFT JOIN public.trades_statuschange AS placed ON placed.trade_id = last.id AND placed.to_status = 'PLACED'
        WHERE counter.placed_at <> coalesce(last.placed_at, '-infinity')
        -- Counters from before this column existed have 0.
        OR counter.xact <> 0 AND counter.xact <> coalesce(placed.xact, 0)
        """,
    ),
    Rule(
        "hold_was_there",
        "More cash was held than there ever was",
        "A BUY's hold was never more than the most cash that its customer ever had.",
        """
        SELECT trade.customer_id AS "customerId", trade.id AS "tradeId",
               format('held %s, of %s at most', trade.max_price, coalesce(cash.most, 0)) AS detail
        FROM trades_trade AS trade
        LEFT JOIN (
            SELECT customer_id, max(total) AS most FROM accounts_posting WHERE ticker = '' GROUP BY customer_id
        ) AS cash ON cash.customer_id = trade.customer_id
        WHERE trade.max_price > coalesce(cash.most, 0)
        """,
    ),
    Rule(
        "hold_is_within_its_collar",
        "More cash was held than the price collar allows",
        "A BUY that was claimed at a known price held at most its quantity at the collar above that price.",
        """
        SELECT customer_id AS "customerId", id AS "tradeId", format('held %s for %s at %s and a collar of %s',
               max_price, quantity, last_price, collar) AS detail
        FROM trades_trade
        -- 0.00005 is half a unit of the last decimal, because the collar price is rounded half to even.
        WHERE last_price IS NOT NULL
          AND (max_price <= quantity * (last_price * (1 + collar) + 0.00005)) IS NOT TRUE
        """,
        Scope.CAUSE,
    ),
    Rule(
        "queued_trade_asked_for_it",
        "Trade was queued although nobody asked for it",
        "A trade waits for an opening only if the customer asked for it, and only between its placing and its claim.",
        f"""
        SELECT customer_id AS "customerId", id AS "tradeId",
               format('%s, placed at %s, queued at %s, claimed at %s', when_closed, placed_at, queued_at,
               coalesce(claimed_at::text, 'no time')) AS detail
        FROM trades_trade
        WHERE queued_at IS NOT NULL AND (
            when_closed <> 'queue' OR queued_at < placed_at - interval '{CLOCKS_APART_SECONDS_MAX} s'
            OR queued_at > claimed_at + interval '{CLOCKS_APART_SECONDS_MAX} s')
        """,
        Scope.CAUSE,
    ),
    Rule(
        "sent_trade_has_its_terms",
        "Trade doesn't have the terms that it was sent with",
        "A trade that was sent has an expiry and, if it is a BUY, a max_price; one that was not sent has neither.",
        """
        SELECT customer_id AS "customerId", id AS "tradeId", format('%s %s, claimed at %s, max_price %s, expires at %s',
               status, type, coalesce(claimed_at::text, 'no time'), coalesce(max_price::text, 'none'),
               coalesce(expires_at::text, 'no time')) AS detail
        FROM trades_trade
        WHERE (claimed_at IS NULL) <> (expires_at IS NULL)
        OR (max_price IS NOT NULL) <> (claimed_at IS NOT NULL AND type = 'BUY')
        """,
        Scope.CAUSE,
    ),
    Rule(
        "fill_settles_after_it_was_executed",
        "Fill settles on an impossible day",
        "A FILLED trade settles on a weekday within two weeks after the Eastern date of its execution, and no other "
        "trade does. Fills from before these dates were stored have neither.",
        """
        SELECT customer_id AS "customerId", id AS "tradeId",
               format('%s, executed at %s, settles on %s', status, coalesce(executed_at::text, 'no time'),
               coalesce(settles_on::text, 'no day')) AS detail
        FROM trades_trade
        WHERE (executed_at IS NULL) <> (settles_on IS NULL) OR settles_on IS NOT NULL AND (
            status <> 'FILLED' OR extract(isodow FROM settles_on) > 5
            OR settles_on - (executed_at AT TIME ZONE 'America/New_York')::date NOT BETWEEN 1 AND 14)
        """,
        Scope.CAUSE,
    ),
    Rule(
        "postings_settle_with_their_trade",
        "Posting and its trade settle on different days",
        "A trade's postings settle on the trade's settlement date.",
        """
        SELECT trade.customer_id AS "customerId", trade.id AS "tradeId", posting.id AS "postingId",
               format('the trade settles on %s, its posting on %s', trade.settles_on,
               coalesce(posting.settles_on::text, 'no day')) AS detail
        FROM trades_trade AS trade JOIN accounts_posting AS posting ON posting.cause = trade.id
        WHERE trade.settles_on IS NOT NULL AND posting.settles_on IS DISTINCT FROM trade.settles_on
        """,
        Scope.CAUSE,
    ),
    Rule(
        "posted_when_settled",
        "Trade was posted and settled at different times",
        "A trade's postings were made when it was settled, as far as clocks can tell.",
        f"""
        SELECT trade.customer_id AS "customerId", trade.id AS "tradeId", posting.id AS "postingId",
               format('settled at %s, posted at %s', trade.settled_at, posting.created_at) AS detail
        FROM trades_trade AS trade JOIN accounts_posting AS posting ON posting.cause = trade.id
        WHERE posting.created_at NOT BETWEEN trade.settled_at - interval '{CLOCKS_APART_SECONDS_MAX} s'
                                         AND trade.settled_at + interval '{CLOCKS_APART_SECONDS_MAX} s'
        """,
        Scope.CAUSE,
    ),
)
