"""Drop the index of trades in flight by `ask_at`.

The sweep reads all trades in flight once a second at most, by `one_trade_in_flight`. The planner took this index, whose
entries it expected to be next to none, to read all of them for each turn.
"""

from django.contrib.postgres.operations import RemoveIndexConcurrently
from django.db import migrations


class Migration(migrations.Migration):
    atomic = False

    dependencies = [("trades", "0027_trade_mail")]

    operations = [RemoveIndexConcurrently("trade", "to_ask_about")]
