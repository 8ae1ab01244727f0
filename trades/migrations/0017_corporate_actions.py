"""Corporate actions, and what each customer got by them."""

import django.db.models.deletion
import django.db.models.functions.datetime
import pgtrigger.compiler
import pgtrigger.migrations
import uuid_utils.compat
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('trades', '0016_lot_method'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='Entitlement',
            fields=[
                ('id', models.UUIDField(default=uuid_utils.compat.uuid7, editable=False, primary_key=True, serialize=False)),
                ('shares', models.BigIntegerField(help_text='Shares that counted: at the close before the ex-date, or before a split.')),
                ('shares_after', models.BigIntegerField(help_text='Shares after it.')),
                ('cash', models.DecimalField(decimal_places=4, help_text='The dividend, or cash in lieu of a fraction, USD.', max_digits=19)),
                ('at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
            ],
        ),
        migrations.CreateModel(
            name='CorporateAction',
            fields=[
                ('id', models.UUIDField(default=uuid_utils.compat.uuid7, editable=False, primary_key=True, serialize=False)),
                ('announcement', models.CharField(help_text="The exchange's id of it.", max_length=128, null=True, unique=True)),
                ('sequence', models.BigIntegerField(help_text="Its number in the exchange's announcements.", null=True, unique=True)),
                ('kind', models.CharField(choices=[('CASH_DIVIDEND', 'Cash dividend'), ('SPLIT', 'Split'), ('TICKER_CHANGE', 'Ticker change'), ('DELISTING', 'Delisting')], max_length=16)),
                ('ticker', models.CharField(max_length=12)),
                ('ex_date', models.DateField()),
                ('pay_date', models.DateField(null=True)),
                ('amount_per_share', models.DecimalField(decimal_places=4, help_text='USD.', max_digits=19, null=True)),
                ('numerator', models.BigIntegerField(null=True)),
                ('denominator', models.BigIntegerField(null=True)),
                ('new_ticker', models.CharField(blank=True, default='', max_length=12)),
                ('reference_price', models.DecimalField(decimal_places=4, help_text='USD for a share after a split.', max_digits=19, null=True)),
                ('entered_by', models.CharField(blank=True, default='', help_text='Empty: the exchange.', max_length=254)),
                ('entered_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ('state', models.CharField(choices=[('announced', 'Announced'), ('approved', 'Approved'), ('applying', 'Applying'), ('done', 'Done'), ('declined', 'Declined')], default='announced', max_length=10)),
                ('approved_by', models.CharField(blank=True, default='', max_length=254)),
                ('began_at', models.DateTimeField(null=True)),
                ('done_at', models.DateTimeField(null=True)),
                ('cursor', models.BigIntegerField(default=0)),
                ('holders', models.BigIntegerField(default=0)),
                ('shares', models.BigIntegerField(default=0)),
                ('cash', models.DecimalField(decimal_places=4, default=0, max_digits=19)),
            ],
            options={
                'indexes': [models.Index(condition=models.Q(('state__in', ['approved', 'applying'])), fields=['ex_date'], name='corporate_actions_to_apply')],
                'constraints': [models.CheckConstraint(condition=models.Q(models.Q(('amount_per_share__gt', 0), ('amount_per_share__isnull', False), ('kind', 'CASH_DIVIDEND'), ('pay_date__isnull', False)), models.Q(('kind', 'SPLIT'), ('numerator__gt', 0), ('numerator__isnull', False), ('denominator__gt', 0), ('denominator__isnull', False)), models.Q(('kind', 'TICKER_CHANGE'), models.Q(('new_ticker', ''), _negated=True)), ('kind', 'DELISTING'), _connector='OR'), name='corporate_action_has_its_terms')],
            },
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='corporateaction',
            trigger=pgtrigger.compiler.Trigger(name='corporate_actions_stay', sql=pgtrigger.compiler.UpsertTriggerSql(func="RAISE EXCEPTION 'pgtrigger: Cannot delete rows from % table', TG_TABLE_NAME;", hash='2e30d3013257f5cd5876cf1194c702962ca04d7c', operation='DELETE', pgid='pgtrigger_corporate_actions_stay_b62b1', table='trades_corporateaction', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='corporateaction',
            trigger=pgtrigger.compiler.Trigger(name='corporate_action_terms_stay', sql=pgtrigger.compiler.UpsertTriggerSql(condition='WHEN (OLD."amount_per_share" IS DISTINCT FROM (NEW."amount_per_share") OR OLD."denominator" IS DISTINCT FROM (NEW."denominator") OR OLD."ex_date" IS DISTINCT FROM (NEW."ex_date") OR OLD."kind" IS DISTINCT FROM (NEW."kind") OR OLD."numerator" IS DISTINCT FROM (NEW."numerator") OR OLD."pay_date" IS DISTINCT FROM (NEW."pay_date") OR OLD."ticker" IS DISTINCT FROM (NEW."ticker"))', func="RAISE EXCEPTION 'pgtrigger: Cannot update rows from % table', TG_TABLE_NAME;", hash='30dee92d0e1ec555937cd258c9ba1b661eb5139b', operation='UPDATE', pgid='pgtrigger_corporate_action_terms_stay_82a31', table='trades_corporateaction', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='corporateaction',
            trigger=pgtrigger.compiler.Trigger(name='ended_corporate_actions_stay', sql=pgtrigger.compiler.UpsertTriggerSql(condition='WHEN (OLD."state" IN (\'done\', \'declined\'))', func="RAISE EXCEPTION 'pgtrigger: Cannot update rows from % table', TG_TABLE_NAME;", hash='777ca27f31014d21687bfdc355da860f73987927', operation='UPDATE', pgid='pgtrigger_ended_corporate_actions_stay_6d186', table='trades_corporateaction', when='BEFORE')),
        ),
        migrations.AddField(
            model_name='entitlement',
            name='action',
            field=models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='entitlements', to='trades.corporateaction'),
        ),
        migrations.AddField(
            model_name='entitlement',
            name='customer',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL),
        ),
        migrations.AddConstraint(
            model_name='entitlement',
            constraint=models.UniqueConstraint(fields=('action', 'customer'), name='one_entitlement'),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='entitlement',
            trigger=pgtrigger.compiler.Trigger(name='entitlements_stay', sql=pgtrigger.compiler.UpsertTriggerSql(func="RAISE EXCEPTION 'pgtrigger: Cannot update or delete rows from % table', TG_TABLE_NAME;", hash='61ed69d73f16770cd36c79420cf9235dd3c04f58', operation='UPDATE OR DELETE', pgid='pgtrigger_entitlements_stay_75a8f', table='trades_entitlement', when='BEFORE')),
        ),
    ]
