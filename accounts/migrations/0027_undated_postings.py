"""Find the postings that have no settlement date yet without reading all others."""

from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False

    dependencies = [("accounts", "0026_texts")]

    operations = [
        AddIndexConcurrently(
            "posting",
            models.Index(name="undated_postings", fields=["customer"], condition=models.Q(("settles_on", None))),
        ),
    ]
