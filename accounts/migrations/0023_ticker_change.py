"""Postings of shares that go on under a new ticker."""

from django.contrib.postgres.operations import AddConstraintNotValid, ValidateConstraint
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False  # each step is a transaction of its own, so that trading goes on

    dependencies = [
        ('accounts', '0022_closings_of_stock'),
    ]

    operations = [
        migrations.RemoveConstraint(
            model_name='posting',
            name='posting_moves_something',
        ),
        migrations.AlterField(
            model_name='posting',
            name='kind',
            field=models.CharField(choices=[('deposit', 'Deposit'), ('withdrawal', 'Withdrawal'), ('buy', 'Buy'), ('sell', 'Sell'), ('adjustment', 'Adjustment'), ('dividend', 'Dividend'), ('split', 'Split'), ('fee', 'Fee'), ('new_ticker', 'New Ticker')], max_length=12),
        ),
        AddConstraintNotValid(
            model_name='posting',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(models.Q(('change', 0), _negated=True), ('kind__in', ['deposit', 'withdrawal', 'buy', 'sell', 'adjustment'])), models.Q(models.Q(('change', 0), _negated=True), ('kind__in', ['dividend', 'split', 'fee', 'new_ticker'])), _connector='OR'), name='posting_moves_something'),
        ),
        ValidateConstraint(model_name="posting", name="posting_moves_something"),
    ]
