"""`trade_confirm_email` is whether notices of trades are switched off. Its column stays for a release: old code uses it."""

from django.db import migrations

MUTE = """
    INSERT INTO accounts_mutednotice (customer_id, kind)
    SELECT customer_id, 'trades' FROM alpaca_api_configuration WHERE trade_confirm_email = 'none' ON CONFLICT DO NOTHING
"""


class Migration(migrations.Migration):

    dependencies = [('alpaca_api', '0002_watchlists_of_accounts'), ('accounts', '0014_notices')]

    operations = [
        migrations.RunSQL(MUTE, migrations.RunSQL.noop),
        migrations.SeparateDatabaseAndState(
            database_operations=[
                migrations.RunSQL(
                    "ALTER TABLE alpaca_api_configuration ALTER COLUMN trade_confirm_email SET DEFAULT 'all'",
                    "ALTER TABLE alpaca_api_configuration ALTER COLUMN trade_confirm_email DROP DEFAULT",
                )
            ],
            state_operations=[migrations.RemoveField(model_name='configuration', name='trade_confirm_email')],
        ),
    ]
