"""An order keeps what its client called its time in force. Orders from before have none, and are shown as `day`."""

import pgtrigger.compiler
import pgtrigger.migrations
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('trades', '0018_fees'),
    ]

    operations = [
        pgtrigger.migrations.RemoveTrigger(
            model_name='trade',
            name='trade_terms_stay',
        ),
        migrations.AddField(
            model_name='trade',
            name='time_in_force',
            field=models.CharField(choices=[('day', 'Day'), ('gtc', 'Gtc')], help_text='As the client said it; empty: it did not say.', max_length=3, null=True),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='trade',
            trigger=pgtrigger.compiler.Trigger(name='trade_terms_stay', sql=pgtrigger.compiler.UpsertTriggerSql(condition='WHEN (OLD."customer_id" IS DISTINCT FROM (NEW."customer_id") OR OLD."sequence" IS DISTINCT FROM (NEW."sequence") OR OLD."ticker" IS DISTINCT FROM (NEW."ticker") OR OLD."type" IS DISTINCT FROM (NEW."type") OR OLD."quantity" IS DISTINCT FROM (NEW."quantity") OR OLD."when_closed" IS DISTINCT FROM (NEW."when_closed") OR OLD."time_in_force" IS DISTINCT FROM (NEW."time_in_force") OR OLD."placed_at" IS DISTINCT FROM (NEW."placed_at") OR OLD."idempotency_key" IS DISTINCT FROM (NEW."idempotency_key"))', func="RAISE EXCEPTION 'pgtrigger: Cannot update rows from % table', TG_TABLE_NAME;", hash='2a6c4fdda241d48280e46ee3dd393792d240e654', operation='UPDATE', pgid='pgtrigger_trade_terms_stay_7d3c2', table='trades_trade', when='BEFORE')),
        ),
    ]
