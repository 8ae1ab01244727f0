"""A trade may end with `unsettled_funds`: its account buys with settled cash only."""

from django.conf import settings
from django.contrib.postgres.operations import AddConstraintNotValid
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('trades', '0020_day_totals'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.RemoveConstraint(
            model_name='trade',
            name='trade_is_as_its_status_says',
        ),
        migrations.AlterField(
            model_name='trade',
            name='reason_code',
            field=models.CharField(blank=True, choices=[('insufficient_funds', 'Not enough cash was available to buy this many shares.'), ('unsettled_funds', 'Not enough of the cash had settled, and the account buys with settled cash only.'), ('insufficient_shares', 'Fewer shares were available than the order was to sell.'), ('past_market_hours', 'The market was closed.'), ('price_moved', 'The price rose too far above the last one before the trade could execute.'), ('corporate_action', 'A split or another corporate action changed what the trade was for.'), ('exchange_error', 'The exchange could not execute the trade.'), ('unknown_ticker', 'The exchange does not list this stock.'), ('ticker_halted', 'Trading in this stock was halted.'), ('expired', 'The exchange did not execute the trade in time. It will not be executed any more.'), ('cancelled', 'The trade was cancelled before it was sent to the exchange.')], default='', max_length=32),
        ),
        AddConstraintNotValid(
            model_name='trade',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('claimed_at', None), ('status', 'PLACED'), ('amount', None), ('price', None), ('reason_code', ''), ('settled_at', None)), models.Q(('amount', None), ('price', None), ('reason_code', ''), ('settled_at', None), ('status', 'IN PROGRESS'), ('ask_at__isnull', False), ('claimed_at__isnull', False), ('expires_at__isnull', False), models.Q(models.Q(('max_price', None), ('type', 'SELL')), models.Q(('max_price__gt', 0), ('max_price__isnull', False), ('type', 'BUY')), _connector='OR')), models.Q(('claimed_at__isnull', False), ('reason_code', ''), ('settled_at__isnull', False), ('status', 'FILLED'), ('amount__gt', 0), ('amount__isnull', False), ('price__gt', 0), ('price__isnull', False), models.Q(('type', 'SELL'), models.Q(('amount__lte', models.F('max_price')), ('max_price__isnull', False)), _connector='OR')), models.Q(('amount', None), ('price', None), ('settled_at__isnull', False), ('status', 'REJECTED'), ('reason_code__in', ['insufficient_funds', 'unsettled_funds', 'insufficient_shares', 'past_market_hours', 'price_moved', 'corporate_action', 'exchange_error', 'unknown_ticker', 'ticker_halted', 'expired', 'cancelled'])), _connector='OR'), name='trade_is_as_its_status_says'),
        ),
    ]
