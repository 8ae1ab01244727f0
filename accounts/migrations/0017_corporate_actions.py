"""Postings of dividends and splits. A posting of shares at a price of 0 leaves what the position cost as it was."""

from django.contrib.postgres.operations import AddConstraintNotValid, AddIndexConcurrently, ValidateConstraint
from django.db import migrations, models

STEP = """
    CREATE OR REPLACE FUNCTION accounts_cost_step(cost numeric, change numeric, total numeric, price numeric)
    RETURNS numeric LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
        SELECT CASE
            {}
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
    atomic = False  # each step is a transaction of its own, so that trading goes on

    dependencies = [
        ('accounts', '0016_one_token_a_key'),
    ]

    operations = [
        migrations.RemoveConstraint(
            model_name='posting',
            name='posting_moves_something',
        ),
        migrations.AlterField(
            model_name='posting',
            name='kind',
            field=models.CharField(choices=[('deposit', 'Deposit'), ('withdrawal', 'Withdrawal'), ('buy', 'Buy'), ('sell', 'Sell'), ('adjustment', 'Adjustment'), ('dividend', 'Dividend'), ('split', 'Split')], max_length=12),
        ),
        AddIndexConcurrently(
            model_name='position',
            index=models.Index(fields=['ticker', 'customer'], name='holders_of_stock'),
        ),
        AddConstraintNotValid(
            model_name='posting',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('change', 0), _negated=True), ('kind__in', ['deposit', 'withdrawal', 'buy', 'sell', 'adjustment', 'dividend', 'split'])), name='posting_moves_something'),
        ),
        ValidateConstraint(model_name="posting", name="posting_moves_something"),
        migrations.RunSQL(STEP.format("WHEN price = 0 THEN cost"), STEP.format("")),
    ]
