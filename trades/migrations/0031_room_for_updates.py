"""Counters get room for updates on their pages; dead versions of trades and reports are removed before they are many.

A trade is updated twice and a report once, each time with all its index entries, because its status is in conditions of
indexes. By default, a vacuum begins only when a fifth of the table has changed, which is months of trades.
"""

from django.db import migrations

SET = "ALTER TABLE {} SET ({})"
RESET = "ALTER TABLE {} RESET ({})"
SOON = "autovacuum_vacuum_scale_factor"
SETTINGS = {
    "trades_tradecounter": {"fillfactor": 80, SOON: 0.02},
    "trades_trade": {SOON: 0.02},
    "trades_report": {SOON: 0.02},
}


class Migration(migrations.Migration):
    dependencies = [("trades", "0030_key_of_status_changes")]

    operations = [
        migrations.RunSQL(
            SET.format(table, ", ".join(f"{name} = {value}" for name, value in settings.items())),
            RESET.format(table, ", ".join(settings)),
        )
        for table, settings in SETTINGS.items()
    ]
