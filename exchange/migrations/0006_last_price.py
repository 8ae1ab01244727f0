from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('exchange', '0005_texts'),
    ]

    operations = [
        migrations.AddField(
            model_name='stock',
            name='last_price',
            field=models.DecimalField(blank=True, decimal_places=4, help_text='USD per share, as last read.', max_digits=19, null=True),
        ),
        migrations.AddField(
            model_name='stock',
            name='last_price_at',
            field=models.DateTimeField(blank=True, help_text='When the exchange quoted the last price.', null=True),
        ),
    ]
