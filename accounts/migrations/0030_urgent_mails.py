"""Mails about signing in and security are delivered first."""

from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models
from django.db.models.functions import Now

OLD = "accounts_mail_due_at_36fa1311"


class Migration(migrations.Migration):
    atomic = False

    dependencies = [("accounts", "0029_last_known_prices")]

    operations = [
        migrations.AddField("mail", "is_urgent", models.BooleanField(default=False, db_default=False)),
        AddIndexConcurrently("mail", models.Index(name="mails_due", fields=["-is_urgent", "due_at"])),
        migrations.SeparateDatabaseAndState(
            database_operations=[
                migrations.RunSQL(
                    f"DROP INDEX CONCURRENTLY IF EXISTS {OLD}",
                    f"CREATE INDEX CONCURRENTLY {OLD} ON accounts_mail (due_at)",
                )
            ],
            state_operations=[migrations.AlterField("mail", "due_at", models.DateTimeField(db_default=Now()))],
        ),
    ]
