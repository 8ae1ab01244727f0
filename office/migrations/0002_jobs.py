"""What sweeps do periodically is called a job."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("office", "0001_office")]

    operations = [migrations.RenameModel("Duty", "Job")]
