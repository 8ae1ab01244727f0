"""Customers that wait for an email about trades that have ended, instead of a notice for each trade."""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
        ("accounts", "0028_notice_places"),
        ("trades", "0026_texts"),
    ]

    operations = [
        migrations.CreateModel(
            name="TradeMail",
            fields=[
                (
                    "customer",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE,
                        primary_key=True,
                        related_name="+",
                        serialize=False,
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                ("xact", models.BigIntegerField()),
                ("first", models.BigIntegerField()),
                ("last", models.BigIntegerField()),
                ("due_at", models.DateTimeField(null=True)),
                (
                    "mailed_at",
                    models.DateTimeField(help_text="When the customer was last mailed about trades.", null=True),
                ),
            ],
            options={
                "indexes": [
                    models.Index(
                        condition=models.Q(("due_at__isnull", False)), fields=["due_at"], name="trade_mails_due"
                    )
                ],
            },
        ),
    ]
