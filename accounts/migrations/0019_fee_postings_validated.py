"""Check existing postings against the constraint of 0018: in a transaction of its own, so that trading goes on."""

from django.contrib.postgres.operations import ValidateConstraint
from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("accounts", "0018_fee_postings")]

    operations = [ValidateConstraint(model_name="posting", name="posting_moves_something")]
