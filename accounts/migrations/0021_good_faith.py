"""Good-faith violations, the day on which a lot is paid for, and the restriction of accounts with too many."""

import django.db.models.deletion
import django.db.models.functions.datetime
import pgtrigger.compiler
import pgtrigger.migrations
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('accounts', '0020_mail'),
    ]

    operations = [
        migrations.CreateModel(
            name='GoodFaithViolation',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('ticker', models.CharField(max_length=12)),
                ('cause', models.UUIDField(help_text='The sale.', unique=True)),
                ('bought_on', models.DateField(help_text='The trade date, Eastern.')),
                ('sold_on', models.DateField(help_text='The trade date, Eastern.')),
                ('settles_on', models.DateField(help_text='When the last of the proceeds settle that paid for the shares.')),
                ('number', models.IntegerField()),
                ('restricts_until', models.DateField(null=True)),
                ('recorded_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ('lifted_at', models.DateTimeField(null=True)),
                ('lift_reason', models.CharField(blank=True, default='', max_length=500)),
            ],
        ),
        pgtrigger.migrations.RemoveTrigger(
            model_name='lot',
            name='lots_stay',
        ),
        migrations.AddField(
            model_name='balance',
            name='settled_cash_until',
            field=models.DateField(null=True),
        ),
        migrations.AddField(
            model_name='lot',
            name='paid_with_until',
            field=models.DateField(null=True),
        ),
        migrations.AlterField(
            model_name='mutednotice',
            name='kind',
            field=models.CharField(choices=[('trades', 'Trades that were filled or rejected'), ('transfers', 'Deposits and withdrawals'), ('statements', 'Monthly statements'), ('security', 'Security of your account'), ('account', 'Good-faith violations and restrictions of your account')], max_length=12),
        ),
        migrations.AlterField(
            model_name='notice',
            name='kind',
            field=models.CharField(choices=[('trades', 'Trades that were filled or rejected'), ('transfers', 'Deposits and withdrawals'), ('statements', 'Monthly statements'), ('security', 'Security of your account'), ('account', 'Good-faith violations and restrictions of your account')], max_length=12),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='lot',
            trigger=pgtrigger.compiler.Trigger(name='lots_stay', sql=pgtrigger.compiler.UpsertTriggerSql(condition='WHEN (OLD."acquired_on" IS DISTINCT FROM (NEW."acquired_on") OR OLD."cause" IS DISTINCT FROM (NEW."cause") OR OLD."cost" IS DISTINCT FROM (NEW."cost") OR OLD."customer_id" IS DISTINCT FROM (NEW."customer_id") OR OLD."id" IS DISTINCT FROM (NEW."id") OR OLD."origin" IS DISTINCT FROM (NEW."origin") OR OLD."paid_with_until" IS DISTINCT FROM (NEW."paid_with_until") OR OLD."quantity" IS DISTINCT FROM (NEW."quantity") OR OLD."ticker" IS DISTINCT FROM (NEW."ticker"))', func="RAISE EXCEPTION 'pgtrigger: Cannot update rows from % table', TG_TABLE_NAME;", hash='49117483c409b14ce56a96ff12742d3d93951eb3', operation='UPDATE', pgid='pgtrigger_lots_stay_0f032', table='accounts_lot', when='BEFORE')),
        ),
        migrations.AddField(
            model_name='goodfaithviolation',
            name='customer',
            field=models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL),
        ),
        migrations.AddField(
            model_name='goodfaithviolation',
            name='lifted_by',
            field=models.ForeignKey(db_index=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL),
        ),
        migrations.AddField(
            model_name='goodfaithviolation',
            name='lot',
            field=models.ForeignKey(db_index=False, help_text='Of those sold, the one paid for last.', on_delete=django.db.models.deletion.PROTECT, related_name='+', to='accounts.lot'),
        ),
        migrations.AddIndex(
            model_name='goodfaithviolation',
            index=models.Index(fields=['customer', '-sold_on'], name='violations_of_customer'),
        ),
        migrations.AddConstraint(
            model_name='goodfaithviolation',
            constraint=models.CheckConstraint(condition=models.Q(('bought_on__lt', models.F('settles_on')), ('number__gt', 0), ('sold_on__lt', models.F('settles_on'))), name='violation_was_too_early'),
        ),
        migrations.AddConstraint(
            model_name='goodfaithviolation',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('lift_reason', ''), ('lifted_at', None), ('lifted_by', None)), models.Q(('lifted_at__isnull', False), ('lifted_by__isnull', False), ('restricts_until__isnull', False), models.Q(('lift_reason', ''), _negated=True)), _connector='OR'), name='restriction_is_lifted_once'),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='goodfaithviolation',
            trigger=pgtrigger.compiler.Trigger(name='violations_are_kept', sql=pgtrigger.compiler.UpsertTriggerSql(func="RAISE EXCEPTION 'pgtrigger: Cannot delete rows from % table', TG_TABLE_NAME;", hash='03b4ef54e4fc0bb954114b216d8e1b7b5e2fbb92', operation='DELETE', pgid='pgtrigger_violations_are_kept_35fec', table='accounts_goodfaithviolation', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='goodfaithviolation',
            trigger=pgtrigger.compiler.Trigger(name='violations_stay', sql=pgtrigger.compiler.UpsertTriggerSql(condition='WHEN (OLD."bought_on" IS DISTINCT FROM (NEW."bought_on") OR OLD."cause" IS DISTINCT FROM (NEW."cause") OR OLD."customer_id" IS DISTINCT FROM (NEW."customer_id") OR OLD."id" IS DISTINCT FROM (NEW."id") OR OLD."lot_id" IS DISTINCT FROM (NEW."lot_id") OR OLD."number" IS DISTINCT FROM (NEW."number") OR OLD."recorded_at" IS DISTINCT FROM (NEW."recorded_at") OR OLD."restricts_until" IS DISTINCT FROM (NEW."restricts_until") OR OLD."settles_on" IS DISTINCT FROM (NEW."settles_on") OR OLD."sold_on" IS DISTINCT FROM (NEW."sold_on") OR OLD."ticker" IS DISTINCT FROM (NEW."ticker"))', func="RAISE EXCEPTION 'pgtrigger: Cannot update rows from % table', TG_TABLE_NAME;", hash='67216ccdd84287098785c3f0259ee2744e247715', operation='UPDATE', pgid='pgtrigger_violations_stay_71aa1', table='accounts_goodfaithviolation', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='goodfaithviolation',
            trigger=pgtrigger.compiler.Trigger(name='lifted_restrictions_stay', sql=pgtrigger.compiler.UpsertTriggerSql(condition='WHEN (OLD."lifted_at" IS NOT NULL)', func="RAISE EXCEPTION 'pgtrigger: Cannot update rows from % table', TG_TABLE_NAME;", hash='5a0d4e85488d442280e87b11428234a7412cee59', operation='UPDATE', pgid='pgtrigger_lifted_restrictions_stay_4e9ec', table='accounts_goodfaithviolation', when='BEFORE')),
        ),
    ]
