from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [('accounts', '0023_ticker_change')]

    operations = [
        migrations.AddField(
            model_name='customer',
            name='code_step',
            field=models.BigIntegerField(db_default=0, editable=False),
        ),
    ]
