from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False

    dependencies = [("accounts", "0011_settlement")]

    operations = [
        AddIndexConcurrently(
            "posting",
            models.Index(
                name="sales_by_settlement",
                fields=["customer", "settles_on"],
                condition=models.Q(ticker="", kind__in=["sell", "fee"]),
            ),
        ),
    ]
