"""A stock's page reads a customer's sales of this stock alone."""

from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False

    dependencies = [("accounts", "0021_good_faith")]

    operations = [
        AddIndexConcurrently(
            "lotclosing",
            models.Index(name="closings_of_stock", fields=["customer", "ticker", "closed_on", "id"]),
        ),
    ]
