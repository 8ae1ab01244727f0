from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('accounts', '0028_notice_places'),
    ]

    operations = [
        migrations.AddField(
            model_name='closingprice',
            name='is_last_known',
            field=models.BooleanField(db_default=False, default=False, help_text='The stock was no longer listed: the price is older than the month.'),
        ),
    ]
