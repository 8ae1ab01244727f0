import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('office', '0005_heartbeat'),
    ]

    operations = [
        migrations.AddField(
            model_name='proof',
            name='earlier',
            field=models.ForeignKey(db_index=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='office.proof'),
        ),
        migrations.AddField(
            model_name='proof',
            name='changed',
            field=models.BigIntegerField(help_text='Customers with changes since the earlier proof.', null=True),
        ),
        migrations.AddField(
            model_name='proof',
            name='full_because',
            field=models.CharField(blank=True, db_default='', default='', help_text='Why everything was examined, although only changes were to be.', max_length=300),
        ),
        migrations.AddField(
            model_name='proof',
            name='mark',
            field=models.JSONField(help_text='What it saw, as a later proof of changes needs it.', null=True),
        ),
    ]
