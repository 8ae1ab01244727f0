"""A customer's `placed_at` grows strictly from here on: the counter keeps the last one."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("trades", "0009_unanswered")]

    operations = [
        migrations.AlterField(
            model_name="trade",
            name="unanswered",
            field=models.SmallIntegerField(
                default=0,
                db_default=0,
                editable=False,
                help_text="How often in a row the exchange did not answer about it.",
            ),
        ),
        migrations.AddField(
            model_name="tradecounter",
            name="placed_at",
            field=models.DateTimeField(null=True, editable=False, help_text="When the last trade was placed."),
        ),
        # The triggers let a counter change only when it counts up.
        migrations.RunSQL(
            [
                "ALTER TABLE trades_tradecounter DISABLE TRIGGER USER",
                """
                UPDATE trades_tradecounter AS c SET placed_at = t.placed_at
                FROM trades_trade AS t WHERE t.customer_id = c.customer_id AND t.sequence = c.last
                """,
                "ALTER TABLE trades_tradecounter ENABLE TRIGGER USER",
            ],
            migrations.RunSQL.noop,
        ),
    ]
