"""Trades may wait for the opening. What does is out of the index of what is due, so that it costs nothing."""

import pgtrigger.compiler
import pgtrigger.migrations
from django.conf import settings
from django.contrib.postgres.operations import (
    AddConstraintNotValid,
    AddIndexConcurrently,
    RemoveIndexConcurrently,
    ValidateConstraint,
)
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False  # each step is a transaction of its own, so that trading goes on

    dependencies = [
        ('trades', '0014_settlement'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.AddField(
            model_name='trade',
            name='queued_at',
            field=models.DateTimeField(help_text='Since when it waits for the opening: when it was placed, or when its turn came.', null=True),
        ),
        migrations.AddField(
            model_name='trade',
            name='when_closed',
            field=models.CharField(choices=[('reject', 'It is sent, and the exchange rejects it.'), ('queue', 'It waits for the next session to open.')], db_default='reject', default='reject', max_length=6),
        ),
        AddIndexConcurrently(
            model_name='trade',
            index=models.Index(condition=models.Q(('queued_at__isnull', True), ('status', 'PLACED')), fields=['placed_at'], include=('customer',), name='placed_not_queued'),
        ),
        AddIndexConcurrently(
            model_name='trade',
            index=models.Index(condition=models.Q(('queued_at__isnull', False), ('status', 'PLACED')), fields=['customer'], name='queued_customers'),
        ),
        pgtrigger.migrations.RemoveTrigger(
            model_name='trade',
            name='trade_terms_stay',
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='trade',
            trigger=pgtrigger.compiler.Trigger(name='trade_terms_stay', sql=pgtrigger.compiler.UpsertTriggerSql(condition='WHEN (OLD."customer_id" IS DISTINCT FROM (NEW."customer_id") OR OLD."sequence" IS DISTINCT FROM (NEW."sequence") OR OLD."ticker" IS DISTINCT FROM (NEW."ticker") OR OLD."type" IS DISTINCT FROM (NEW."type") OR OLD."quantity" IS DISTINCT FROM (NEW."quantity") OR OLD."when_closed" IS DISTINCT FROM (NEW."when_closed") OR OLD."placed_at" IS DISTINCT FROM (NEW."placed_at") OR OLD."idempotency_key" IS DISTINCT FROM (NEW."idempotency_key"))', func="RAISE EXCEPTION 'pgtrigger: Cannot update rows from % table', TG_TABLE_NAME;", hash='3659f02be95c0accd6c5a373ee28956c7c8e5c16', operation='UPDATE', pgid='pgtrigger_trade_terms_stay_7d3c2', table='trades_trade', when='BEFORE')),
        ),
        AddConstraintNotValid(
            model_name='trade',
            constraint=models.CheckConstraint(condition=models.Q(('when_closed', 'queue'), models.Q(('queued_at', None), ('when_closed', 'reject')), _connector='OR'), name='queued_trade_may_wait'),
        ),
        ValidateConstraint(model_name="trade", name="queued_trade_may_wait"),
        RemoveIndexConcurrently(
            model_name='trade',
            name='placed_by_age',
        ),
    ]
