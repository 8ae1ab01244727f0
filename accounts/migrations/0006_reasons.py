"""Reasons are called reasons: the code of an adjustment's is `reason_code`, and its words are `reason`."""

import pgtrigger.compiler
import pgtrigger.migrations
from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("accounts", "0005_share_adjustments")]

    operations = [
        pgtrigger.migrations.RemoveTrigger(model_name="adjustment", name="adjustment_terms_stay"),
        migrations.RenameField("adjustment", "reason", "reason_code"),
        migrations.RenameField("adjustment", "why", "reason"),
        migrations.RenameField("freeze", "why", "reason"),
        pgtrigger.migrations.AddTrigger(
            model_name='adjustment',
            trigger=pgtrigger.compiler.Trigger(name='adjustment_terms_stay', sql=pgtrigger.compiler.UpsertTriggerSql(condition='WHEN (OLD."customer_id" IS DISTINCT FROM (NEW."customer_id") OR OLD."ticker" IS DISTINCT FROM (NEW."ticker") OR OLD."change" IS DISTINCT FROM (NEW."change") OR OLD."price" IS DISTINCT FROM (NEW."price") OR OLD."reason_code" IS DISTINCT FROM (NEW."reason_code") OR OLD."reason" IS DISTINCT FROM (NEW."reason") OR OLD."asked_by_id" IS DISTINCT FROM (NEW."asked_by_id"))', func="RAISE EXCEPTION 'pgtrigger: Cannot update rows from % table', TG_TABLE_NAME;", hash='43e25232e71bf3517ba05c43a6b139d0c7456735', operation='UPDATE', pgid='pgtrigger_adjustment_terms_stay_fcb70', table='accounts_adjustment', when='BEFORE')),
        ),
    ]
