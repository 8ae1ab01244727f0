"""Watchlists are those of accounts, which the pages show too. A name that is taken there gets the list's number."""

from django.db import migrations

KEEP = """
    INSERT INTO accounts_watchlist (id, customer_id, name, tickers, is_default, created_at, updated_at)
    SELECT old.id, old.customer_id,
           CASE WHEN EXISTS (SELECT FROM accounts_watchlist AS new WHERE new.customer_id = old.customer_id AND new.name = old.name)
                THEN left(old.name, 27) || ' ' || old.id ELSE old.name END,
           ARRAY(SELECT jsonb_array_elements_text(old.tickers)), false, old.created_at, old.updated_at
    FROM alpaca_api_watchlist AS old
"""
RETURN = """
    INSERT INTO alpaca_api_watchlist (id, customer_id, name, tickers, created_at, updated_at)
    SELECT id, customer_id, name, to_jsonb(tickers), created_at, updated_at FROM accounts_watchlist WHERE NOT is_default
"""


class Migration(migrations.Migration):

    dependencies = [('alpaca_api', '0001_initial'), ('accounts', '0007_watchlists')]

    operations = [
        migrations.RunSQL(KEEP, RETURN),
        migrations.DeleteModel(name='Watchlist'),
    ]
