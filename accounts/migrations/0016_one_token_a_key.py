"""Built while tokens go on being made and used."""

from django.db import migrations, models

CREATE = """
    CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS one_token_a_key ON accounts_token (customer_id, idempotency_key)
    WHERE idempotency_key IS NOT NULL
"""


class Migration(migrations.Migration):

    atomic = False

    dependencies = [('accounts', '0015_token_addresses')]

    operations = [
        migrations.RunSQL(
            CREATE,
            "DROP INDEX CONCURRENTLY IF EXISTS one_token_a_key",
            state_operations=[
                migrations.AddConstraint(
                    model_name='token',
                    constraint=models.UniqueConstraint(
                        condition=models.Q(('idempotency_key__isnull', False)),
                        fields=('customer', 'idempotency_key'),
                        name='one_token_a_key',
                    ),
                ),
            ],
        ),
    ]
