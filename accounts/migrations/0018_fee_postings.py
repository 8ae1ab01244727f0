from django.contrib.postgres.operations import AddConstraintNotValid
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("accounts", "0017_corporate_actions")]

    operations = [
        migrations.AlterField(
            "posting",
            "kind",
            models.CharField(
                choices=[
                    ("deposit", "Deposit"),
                    ("withdrawal", "Withdrawal"),
                    ("buy", "Buy"),
                    ("sell", "Sell"),
                    ("adjustment", "Adjustment"),
                    ("dividend", "Dividend"),
                    ("split", "Split"),
                    ("fee", "Fee"),
                ],
                max_length=12,
            ),
        ),
        migrations.RemoveConstraint("posting", "posting_moves_something"),
        AddConstraintNotValid(
            "posting",
            models.CheckConstraint(
                name="posting_moves_something",
                condition=~models.Q(change=0)
                & models.Q(kind__in=["deposit", "withdrawal", "buy", "sell", "adjustment", "dividend", "split", "fee"]),
            ),
        ),
    ]
