"""Notices are read up to a row below which no other can appear, instead of again and again for a while."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [("accounts", "0027_undated_postings")]

    operations = [
        migrations.AddField("noticeplace", "seen", models.BigIntegerField(db_default=0)),
        migrations.AddField("noticeplace", "xact", models.BigIntegerField(db_default=0)),
    ]
