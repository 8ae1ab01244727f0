"""A position keeps what it cost, from which its average price follows. Costs are computed anew from the postings."""

from django.db import migrations, models
from django.db.models import Q

# The same rounding as accounts.ledger.part_of_cost: half to even, in whole units of 0.0001 USD.
CREATE = """
    CREATE FUNCTION accounts_cost_step(cost numeric, change numeric, total numeric, price numeric) RETURNS numeric
    LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
        SELECT CASE
            WHEN change > 0 THEN cost + coalesce(price, 0) * change
            ELSE (
                SELECT (units + CASE WHEN 2 * rest > whole OR 2 * rest = whole AND units % 2 = 1 THEN 1 ELSE 0 END)
                       / 10000
                FROM (
                    SELECT div(part, whole) AS units, part - div(part, whole) * whole AS rest, whole
                    FROM (SELECT trunc(cost * 10000) * trunc(total) AS part, trunc(total - change) AS whole) AS division
                ) AS divided
            )
        END
    $$;
    CREATE AGGREGATE accounts_cost(change numeric, total numeric, price numeric) (
        SFUNC = accounts_cost_step, STYPE = numeric, INITCOND = '0'
    );
"""
DROP = """
    DROP AGGREGATE accounts_cost(numeric, numeric, numeric);
    DROP FUNCTION accounts_cost_step(numeric, numeric, numeric, numeric);
"""
COMPUTE = """
    UPDATE accounts_position AS position SET cost = posted.cost
    FROM (
        SELECT customer_id, ticker, accounts_cost(change, total, price ORDER BY id) AS cost
        FROM accounts_posting WHERE ticker <> '' GROUP BY customer_id, ticker
    ) AS posted
    WHERE posted.customer_id = position.customer_id AND posted.ticker = position.ticker
"""
BACK = """
    UPDATE accounts_position
    SET average_price = CASE quantity WHEN 0 THEN 0 ELSE round(cost / quantity, 4) END
"""


class Migration(migrations.Migration):
    dependencies = [("accounts", "0007_watchlists")]

    operations = [
        migrations.AddField("position", "cost", models.DecimalField(decimal_places=4, default=0, max_digits=19)),
        migrations.RunSQL(CREATE, DROP),
        migrations.RunSQL(COMPUTE, BACK),
        migrations.RemoveConstraint("position", "position_has_a_price"),
        migrations.RemoveField("position", "average_price"),
        migrations.AddConstraint(
            "position",
            models.CheckConstraint(
                name="position_has_a_cost", condition=Q(("cost__gte", 0), ("cost__lt", 1000000000000000))
            ),
        ),
    ]
