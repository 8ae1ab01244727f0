import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

import trades.models


class Migration(migrations.Migration):
    dependencies = [
        ("trades", "0002_switch"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.AlterField(
            model_name="move",
            name="trade",
            field=models.ForeignKey(
                db_index=False,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="moves",
                to="trades.trade",
            ),
        ),
        migrations.AddField(
            model_name="move",
            name="customer_id",
            field=models.BigIntegerField(null=True),
        ),
        # What was written before gets its customer; the rows' protection is lifted for that.
        migrations.RunSQL(
            "ALTER TABLE trades_move DISABLE TRIGGER USER;"
            "UPDATE trades_move AS m SET customer_id = t.customer_id FROM trades_trade AS t WHERE t.id = m.trade_id;"
            "ALTER TABLE trades_move ENABLE TRIGGER USER;"
            "SET CONSTRAINTS ALL IMMEDIATE;",
            migrations.RunSQL.noop,
        ),
        migrations.AlterField(
            model_name="move",
            name="customer_id",
            field=models.BigIntegerField(),
        ),
        migrations.AddField(
            model_name="move",
            name="xact",
            field=models.BigIntegerField(db_default=trades.models.ThisTransaction(), editable=False),
        ),
        migrations.AddIndex(
            model_name="move",
            index=models.Index(fields=["customer_id", "xact", "id"], name="feed_of_customer"),
        ),
        migrations.AddIndex(
            model_name="trade",
            index=models.Index(
                condition=models.Q(("status__in", ["FILLED", "REJECTED"])),
                fields=["customer", "status", "type", "sequence"],
                name="final_by_type",
            ),
        ),
        migrations.AddIndex(
            model_name="trade",
            index=models.Index(
                condition=models.Q(("status__in", ["FILLED", "REJECTED"])),
                fields=["customer", "status", "ticker", "type", "sequence"],
                name="final_by_ticker",
            ),
        ),
    ]
