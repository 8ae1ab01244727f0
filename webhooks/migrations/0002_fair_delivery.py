"""Webhooks take turns, and keep their secrets encrypted. Those that there are keep their place, secret and queue."""

import django.contrib.postgres.fields
import django.db.models.deletion
import django.db.models.functions.datetime
from django.conf import settings
from django.db import migrations, models

from web.encryption import decrypt, encrypt

GIVE_SLOTS = """
    UPDATE webhooks_webhook AS w SET slot = numbered.number - 1
    FROM (SELECT id, row_number() OVER (PARTITION BY customer_id ORDER BY id) AS number FROM webhooks_webhook) AS numbered
    WHERE numbered.id = w.id
"""
SET_DUE = """
    UPDATE webhooks_webhook AS w
    SET due_at = (SELECT min(next_at) FROM webhooks_delivery AS d WHERE d.webhook_id = w.id)
"""


def encrypt_secrets(apps, schema_editor):
    for webhook in apps.get_model('webhooks', 'Webhook').objects.all():
        webhook.encrypted_secret = encrypt(webhook.encrypted_secret)
        webhook.save(update_fields=['encrypted_secret'])


def decrypt_secrets(apps, schema_editor):
    for webhook in apps.get_model('webhooks', 'Webhook').objects.all():
        webhook.encrypted_secret = decrypt(webhook.encrypted_secret)
        webhook.save(update_fields=['encrypted_secret'])


def add(name, field):
    return migrations.AddField('webhook', name, field)


class Migration(migrations.Migration):

    dependencies = [
        ('accounts', '0010_webhooks_scope'),
        ('webhooks', '0001_initial'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.RenameField('webhook', 'secret', 'encrypted_secret'),
        migrations.AlterField('webhook', 'encrypted_secret', models.TextField(editable=False)),
        migrations.RunPython(encrypt_secrets, decrypt_secrets),
        add('slot', models.SmallIntegerField(editable=False, null=True)),
        migrations.RunSQL(GIVE_SLOTS, migrations.RunSQL.noop),
        migrations.AlterField('webhook', 'slot', models.SmallIntegerField(editable=False)),
        add('token', models.ForeignKey(null=True, on_delete=django.db.models.deletion.CASCADE, related_name='webhooks', to='accounts.token')),
        add('events', django.contrib.postgres.fields.ArrayField(base_field=models.CharField(max_length=32), blank=True, default=list, size=None)),
        add('encrypted_previous_secret', models.TextField(blank=True, default='', editable=False)),
        add('previous_secret_until', models.DateTimeField(editable=False, null=True)),
        add('idempotency_key', models.CharField(editable=False, max_length=128, null=True)),
        add('idempotency_digest', models.CharField(blank=True, default='', editable=False, max_length=64)),
        add('status', models.CharField(choices=[('active', 'Active'), ('paused', 'Paused'), ('failing', 'Failing'), ('ended', 'Ended')], default='active', max_length=8)),
        add('status_reason', models.CharField(blank=True, default='', max_length=200)),
        add('status_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
        add('entered_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False)),
        add('due_at', models.DateTimeField(editable=False, null=True)),
        add('retry_at', models.DateTimeField(editable=False, null=True)),
        add('leased_until', models.DateTimeField(editable=False, null=True)),
        add('failures', models.IntegerField(default=0, editable=False)),
        add('failing_since', models.DateTimeField(editable=False, null=True)),
        migrations.RunSQL(SET_DUE, migrations.RunSQL.noop),
        migrations.AlterField('webhook', 'customer', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='+', to=settings.AUTH_USER_MODEL)),
        migrations.AlterField('delivery', 'answer', models.CharField(blank=True, default='', help_text='How the last attempt went.', max_length=200)),
        migrations.RemoveIndex('delivery', 'deliveries_due'),
        migrations.AddIndex('delivery', models.Index(condition=models.Q(('next_at__isnull', False)), fields=['webhook', 'next_at'], name='deliveries_waiting')),
        migrations.AddIndex('webhook', models.Index(condition=models.Q(('due_at__isnull', False)), fields=['due_at'], name='webhooks_due')),
        migrations.AddConstraint('webhook', models.UniqueConstraint(fields=('customer', 'slot'), name='one_webhook_a_slot')),
        migrations.AddConstraint('webhook', models.UniqueConstraint(fields=('customer', 'idempotency_key'), name='one_webhook_a_key')),
    ]
