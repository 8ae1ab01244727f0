"""The tables exist already: they were those of trades."""

import django.db.models.deletion
import django.db.models.functions.datetime
import uuid_utils.compat
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    initial = True

    dependencies = [
        ('trades', '0007_names'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.SeparateDatabaseAndState(
            state_operations=[
                migrations.CreateModel(
                    name='Webhook',
                    fields=[
                        ('id', models.UUIDField(default=uuid_utils.compat.uuid7, editable=False, primary_key=True, serialize=False)),
                        ('url', models.CharField(max_length=500)),
                        ('secret', models.CharField(editable=False, max_length=80)),
                        ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False)),
                        ('xact', models.BigIntegerField(editable=False)),
                        ('change', models.BigIntegerField(editable=False)),
                        ('customer', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='+', to=settings.AUTH_USER_MODEL)),
                    ],
                ),
                migrations.CreateModel(
                    name='Delivery',
                    fields=[
                        ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                        ('event_id', models.CharField(max_length=64)),
                        ('type', models.CharField(max_length=32)),
                        ('body', models.TextField()),
                        ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                        ('attempts', models.IntegerField(default=0)),
                        ('next_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), null=True)),
                        ('delivered_at', models.DateTimeField(null=True)),
                        ('answer', models.CharField(blank=True, default='', help_text='What the last attempt met with.', max_length=200)),
                        ('webhook', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='deliveries', to='webhooks.webhook')),
                    ],
                    options={
                        'verbose_name_plural': 'deliveries',
                        'indexes': [models.Index(fields=['webhook', '-id'], name='deliveries_of_webhook'), models.Index(condition=models.Q(('next_at__isnull', False)), fields=['next_at'], name='deliveries_due'), models.Index(condition=models.Q(('delivered_at', None), ('next_at', None)), fields=['webhook'], name='deliveries_given_up')],
                        'constraints': [models.UniqueConstraint(fields=('webhook', 'event_id'), name='one_delivery_an_event')],
                    },
                ),
            ],
        ),
    ]
