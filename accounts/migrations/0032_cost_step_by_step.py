"""The cost after a posting is computed in PL/pgSQL, which PostgreSQL runs several times faster than an SQL function.

An audit calls it for each posting of shares, and what it returns is as before.
"""

from django.db import migrations

SIGNATURE = "accounts_cost_step(cost numeric, change numeric, total numeric, price numeric) RETURNS numeric"
# The same rounding as accounts.lots.part_of_cost: half to even, in whole units of 0.0001 USD.
QUICK = f"""
    CREATE OR REPLACE FUNCTION {SIGNATURE} LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
    DECLARE
        part numeric;
        whole numeric;
        units numeric;
        rest numeric;
    BEGIN
        IF price = 0 THEN RETURN cost; END IF;
        IF change > 0 THEN RETURN cost + coalesce(price, 0) * change; END IF;
        part := trunc(cost * 10000) * trunc(total);
        whole := trunc(total - change);
        units := div(part, whole);
        rest := part - units * whole;
        IF 2 * rest > whole OR 2 * rest = whole AND units % 2 = 1 THEN units := units + 1; END IF;
        RETURN units / 10000;
    END $$
"""
SLOW = f"""
    CREATE OR REPLACE FUNCTION {SIGNATURE} LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
        SELECT CASE
            WHEN price = 0 THEN cost
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
    $$
"""


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0031_room_for_updates"),
    ]

    operations = [
        migrations.RunSQL(QUICK, SLOW),
    ]
