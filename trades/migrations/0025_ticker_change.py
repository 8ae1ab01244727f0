"""PLACED trades go on under a new ticker, and an entitlement keeps what their shares have cost."""

import pgtrigger.compiler
import pgtrigger.migrations
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('trades', '0024_corporate_actions_in_the_feed'),
    ]

    operations = [
        pgtrigger.migrations.RemoveTrigger(
            model_name='corporateaction',
            name='corporate_action_terms_stay',
        ),
        pgtrigger.migrations.RemoveTrigger(
            model_name='trade',
            name='trade_terms_stay',
        ),
        migrations.AddField(
            model_name='entitlement',
            name='cost',
            field=models.DecimalField(decimal_places=4, help_text='What shares that go on under a new ticker have cost, USD.', max_digits=19, null=True),
        ),
        migrations.AddField(
            model_name='trade',
            name='placed_as',
            field=models.CharField(help_text='The ticker that it was placed under, where the stock got another since.', max_length=12, null=True),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='corporateaction',
            trigger=pgtrigger.compiler.Trigger(name='corporate_action_terms_stay', sql=pgtrigger.compiler.UpsertTriggerSql(condition='WHEN (OLD."amount_per_share" IS DISTINCT FROM (NEW."amount_per_share") OR OLD."denominator" IS DISTINCT FROM (NEW."denominator") OR OLD."ex_date" IS DISTINCT FROM (NEW."ex_date") OR OLD."kind" IS DISTINCT FROM (NEW."kind") OR OLD."new_ticker" IS DISTINCT FROM (NEW."new_ticker") OR OLD."numerator" IS DISTINCT FROM (NEW."numerator") OR OLD."pay_date" IS DISTINCT FROM (NEW."pay_date") OR OLD."ticker" IS DISTINCT FROM (NEW."ticker"))', func="RAISE EXCEPTION 'pgtrigger: Cannot update rows from % table', TG_TABLE_NAME;", hash='c64b10de1a719f4d005c3b2bf585cf705025d284', operation='UPDATE', pgid='pgtrigger_corporate_action_terms_stay_82a31', table='trades_corporateaction', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='trade',
            trigger=pgtrigger.compiler.Trigger(name='trade_terms_stay', sql=pgtrigger.compiler.UpsertTriggerSql(condition='WHEN (OLD."customer_id" IS DISTINCT FROM (NEW."customer_id") OR OLD."sequence" IS DISTINCT FROM (NEW."sequence") OR (OLD."ticker" IS DISTINCT FROM (NEW."ticker") AND (NEW."placed_as" IS NULL OR NOT (OLD."status" = \'PLACED\'))) OR OLD."type" IS DISTINCT FROM (NEW."type") OR OLD."quantity" IS DISTINCT FROM (NEW."quantity") OR OLD."when_closed" IS DISTINCT FROM (NEW."when_closed") OR OLD."time_in_force" IS DISTINCT FROM (NEW."time_in_force") OR OLD."placed_at" IS DISTINCT FROM (NEW."placed_at") OR OLD."idempotency_key" IS DISTINCT FROM (NEW."idempotency_key"))', func="RAISE EXCEPTION 'pgtrigger: Cannot update rows from % table', TG_TABLE_NAME;", hash='6b9b6398b2a9b65872635ebe45b707c358928483', operation='UPDATE', pgid='pgtrigger_trade_terms_stay_7d3c2', table='trades_trade', when='BEFORE')),
        ),
    ]
