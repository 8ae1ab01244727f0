"""One model for watchlists: what a customer watched on the pages becomes their default list."""

import django.contrib.postgres.fields
import django.db.models.deletion
import django.db.models.functions.datetime
import uuid_utils.compat
from django.conf import settings
from django.db import migrations, models

KEEP = """
    INSERT INTO accounts_watchlist (id, customer_id, name, tickers, is_default)
    SELECT gen_random_uuid(), customer_id, 'Primary Watchlist', array_agg(ticker ORDER BY id), true
    FROM accounts_watched GROUP BY customer_id
"""
RETURN = """
    INSERT INTO accounts_watched (customer_id, ticker)
    SELECT customer_id, ticker FROM accounts_watchlist, unnest(tickers) WITH ORDINALITY AS watched (ticker, number)
    WHERE is_default ORDER BY customer_id, number
"""


class Migration(migrations.Migration):

    dependencies = [('accounts', '0006_reasons')]

    operations = [
        migrations.CreateModel(
            name='Watchlist',
            fields=[
                ('id', models.UUIDField(default=uuid_utils.compat.uuid7, editable=False, primary_key=True, serialize=False)),
                ('name', models.CharField(max_length=64)),
                ('tickers', django.contrib.postgres.fields.ArrayField(base_field=models.CharField(max_length=12), default=list, size=None)),
                ('is_default', models.BooleanField(default=False)),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ('updated_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ('customer', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='watchlists', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'constraints': [
                    models.UniqueConstraint(fields=('customer', 'name'), name='one_watchlist_of_a_name'),
                    models.UniqueConstraint(condition=models.Q(('is_default', True)), fields=('customer',), name='one_default_watchlist'),
                ],
            },
        ),
        migrations.RunSQL(KEEP, RETURN),
        migrations.DeleteModel(name='Watched'),
    ]
