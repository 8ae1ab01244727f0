"""Rows that every trade updates get room on their page, so that an update writes no index, and a vacuum before they bloat.

Pages that are full already get room as their rows are updated. The settings don't block readers or writers.
"""

from django.db import migrations

SET = "ALTER TABLE {} SET (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.02)"
RESET = "ALTER TABLE {} RESET (fillfactor, autovacuum_vacuum_scale_factor)"


class Migration(migrations.Migration):
    dependencies = [("accounts", "0030_urgent_mails")]

    operations = [
        migrations.RunSQL(SET.format(table), RESET.format(table)) for table in ("accounts_balance", "accounts_position")
    ]
