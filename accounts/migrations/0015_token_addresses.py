from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [('accounts', '0014_notices')]

    operations = [
        migrations.AddField(
            model_name='token',
            name='allowed_addresses',
            field=models.JSONField(help_text='Networks that it may be used from; null: anywhere.', null=True),
        ),
        migrations.AddField(
            model_name='token',
            name='idempotency_key',
            field=models.CharField(editable=False, max_length=128, null=True),
        ),
        migrations.AddField(
            model_name='token',
            name='last_used_address',
            field=models.GenericIPAddressField(editable=False, null=True),
        ),
    ]
