"""A BUY keeps its collar: the last price when it was claimed, and how far above it it may execute."""

import pgtrigger.compiler
import pgtrigger.migrations
from django.conf import settings
from django.contrib.postgres.operations import AddConstraintNotValid
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('trades', '0011_review'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        pgtrigger.migrations.RemoveTrigger(
            model_name='trade',
            name='sent_terms_stay',
        ),
        migrations.RemoveConstraint(
            model_name='trade',
            name='trade_is_as_its_status_says',
        ),
        migrations.AddField(
            model_name='trade',
            name='collar',
            field=models.DecimalField(decimal_places=4, help_text='How far a BUY may go above the last price: 0.05 is 5 %.', max_digits=5, null=True),
        ),
        migrations.AddField(
            model_name='trade',
            name='last_price',
            field=models.DecimalField(decimal_places=4, help_text='That of the stock when a BUY was claimed, USD.', max_digits=19, null=True),
        ),
        migrations.AlterField(
            model_name='trade',
            name='reason_code',
            field=models.CharField(blank=True, choices=[('insufficient_funds', 'Not enough cash was available to buy this many shares.'), ('insufficient_shares', 'Fewer shares were available than the order was to sell.'), ('past_market_hours', 'The market was closed.'), ('price_moved', 'The price rose too far above the last one before the trade could execute.'), ('corporate_action', 'A split or another corporate action changed what the trade was for.'), ('exchange_error', 'The exchange could not execute the trade.'), ('unknown_ticker', 'The exchange does not list this stock.'), ('ticker_halted', 'Trading in this stock was halted.'), ('expired', 'The exchange did not execute the trade in time. It will not be executed any more.'), ('cancelled', 'The trade was cancelled before it was sent to the exchange.')], default='', max_length=32),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='trade',
            trigger=pgtrigger.compiler.Trigger(name='sent_terms_stay', sql=pgtrigger.compiler.UpsertTriggerSql(condition='WHEN (OLD."status" = \'IN PROGRESS\' AND (OLD."max_price" IS DISTINCT FROM (NEW."max_price") OR OLD."last_price" IS DISTINCT FROM (NEW."last_price") OR OLD."collar" IS DISTINCT FROM (NEW."collar") OR OLD."expires_at" IS DISTINCT FROM (NEW."expires_at") OR OLD."claimed_at" IS DISTINCT FROM (NEW."claimed_at")))', func="RAISE EXCEPTION 'pgtrigger: Cannot update rows from % table', TG_TABLE_NAME;", hash='d58c9517cf284050fa032215e84af03f9d096ed0', operation='UPDATE', pgid='pgtrigger_sent_terms_stay_895a7', table='trades_trade', when='BEFORE')),
        ),
        AddConstraintNotValid(
            model_name='trade',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('claimed_at', None), ('status', 'PLACED'), ('amount', None), ('price', None), ('reason_code', ''), ('settled_at', None)), models.Q(('amount', None), ('price', None), ('reason_code', ''), ('settled_at', None), ('status', 'IN PROGRESS'), ('ask_at__isnull', False), ('claimed_at__isnull', False), ('expires_at__isnull', False), models.Q(models.Q(('max_price', None), ('type', 'SELL')), models.Q(('max_price__gt', 0), ('max_price__isnull', False), ('type', 'BUY')), _connector='OR')), models.Q(('claimed_at__isnull', False), ('reason_code', ''), ('settled_at__isnull', False), ('status', 'FILLED'), ('amount__gt', 0), ('amount__isnull', False), ('price__gt', 0), ('price__isnull', False), models.Q(('type', 'SELL'), models.Q(('amount__lte', models.F('max_price')), ('max_price__isnull', False)), _connector='OR')), models.Q(('amount', None), ('price', None), ('settled_at__isnull', False), ('status', 'REJECTED'), ('reason_code__in', ['insufficient_funds', 'insufficient_shares', 'past_market_hours', 'price_moved', 'corporate_action', 'exchange_error', 'unknown_ticker', 'ticker_halted', 'expired', 'cancelled'])), _connector='OR'), name='trade_is_as_its_status_says'),
        ),
        AddConstraintNotValid(
            model_name='trade',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('collar', None), ('last_price', None)), models.Q(('claimed_at__isnull', False), ('type', 'BUY'), ('collar__gte', 0), ('collar__isnull', False), ('last_price__gt', 0), ('last_price__isnull', False)), _connector='OR'), name='collar_has_its_price'),
        ),
    ]
