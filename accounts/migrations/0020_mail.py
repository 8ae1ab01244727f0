"""Mails wait in a table for the mail server. Notices are not tried any more; their column stays for old code."""

import django.db.models.functions.datetime
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('accounts', '0019_fee_postings_validated'),
    ]

    operations = [
        migrations.CreateModel(
            name='Mail',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('content', models.TextField()),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ('due_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), db_index=True)),
                ('tries', models.SmallIntegerField(db_default=0, default=0)),
            ],
        ),
        migrations.SeparateDatabaseAndState(
            database_operations=[
                migrations.RunSQL(
                    "ALTER TABLE accounts_notice ALTER COLUMN tries SET DEFAULT 0",
                    "ALTER TABLE accounts_notice ALTER COLUMN tries DROP DEFAULT",
                )
            ],
            state_operations=[migrations.RemoveField(model_name='notice', name='tries')],
        ),
    ]
