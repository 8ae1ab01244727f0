"""What a corporate action did to an account becomes an event of its customer's feed."""

import django.db.models.deletion
from django.conf import settings
from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False  # each step is a transaction of its own, so that trading goes on

    dependencies = [
        ("trades", "0023_plain_words"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.AddField(
            model_name="entitlement",
            name="xact",
            field=models.BigIntegerField(editable=False, null=True),
        ),
        migrations.AddField(
            model_name="entitlement",
            name="event",
            field=models.BigIntegerField(editable=False, null=True),
        ),
        AddIndexConcurrently(
            model_name="entitlement",
            index=models.Index(fields=["customer", "xact", "event"], name="feed_of_entitlements"),
        ),
        migrations.AlterField(
            model_name="entitlement",
            name="customer",
            field=models.ForeignKey(
                db_index=False,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to=settings.AUTH_USER_MODEL,
            ),
        ),
    ]
