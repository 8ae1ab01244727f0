"""The key of a status change is its trade and status, which `each_status_once` ensures. The index of ids is dropped."""

from django.db import migrations, models

import trades.models.trade

DROP = "ALTER TABLE trades_statuschange DROP CONSTRAINT IF EXISTS trades_statuschange_pkey"
ADD = "ALTER TABLE trades_statuschange ADD CONSTRAINT trades_statuschange_pkey PRIMARY KEY (id)"


class Migration(migrations.Migration):
    dependencies = [("trades", "0029_narrow_indexes")]

    operations = [
        migrations.SeparateDatabaseAndState(
            database_operations=[migrations.RunSQL(DROP, ADD)],
            state_operations=[
                migrations.AddField(
                    "statuschange",
                    "pk",
                    models.CompositePrimaryKey(
                        "trade", "to_status", blank=True, editable=False, primary_key=True, serialize=False
                    ),
                ),
                migrations.AlterField(
                    "statuschange",
                    "id",
                    models.BigIntegerField(db_default=trades.models.trade.NextChange(), editable=False),
                ),
            ],
        ),
    ]
