"""Check existing trades against the constraints of 0012: in a transaction of its own, so that trading goes on."""

from django.contrib.postgres.operations import ValidateConstraint
from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("trades", "0012_collar")]

    operations = [
        ValidateConstraint(model_name="trade", name="trade_is_as_its_status_says"),
        ValidateConstraint(model_name="trade", name="collar_has_its_price"),
    ]
