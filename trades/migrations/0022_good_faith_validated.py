"""Check existing trades against the constraint of 0021: in a transaction of its own, so that trading goes on."""

from django.contrib.postgres.operations import ValidateConstraint
from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("trades", "0021_good_faith")]

    operations = [ValidateConstraint(model_name="trade", name="trade_is_as_its_status_says")]
