"""A token that may do everything may still do everything, now that webhooks have a scope of their own."""

from django.db import migrations

ADD = """
    UPDATE accounts_token SET scopes = scopes || '["webhooks"]'
    WHERE scopes @> '["read", "trade", "funds"]' AND NOT scopes @> '["webhooks"]'
"""
REMOVE = "UPDATE accounts_token SET scopes = scopes - 'webhooks'"


class Migration(migrations.Migration):

    dependencies = [('accounts', '0009_plain_english')]

    operations = [migrations.RunSQL(ADD, REMOVE)]
