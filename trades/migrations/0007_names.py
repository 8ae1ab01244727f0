"""Standard names: a status change, a trading control, a reason; webhooks get an app of their own.

Tables, constraints and sequences are renamed where they are, which takes no time however many rows there are.
"""

import pgtrigger.compiler
import pgtrigger.migrations
from django.db import migrations, models

NEW_NAMES = {
    "trades_move": "trades_statuschange",
    "trades_switch": "trades_tradingcontrol",
    "trades_webhook": "webhooks_webhook",
    "trades_delivery": "webhooks_delivery",
}
NEW_CONSTRAINTS = {
    "each_move_once": ("trades_statuschange", "each_status_once"),
    "switch_has_its_subject": ("trades_tradingcontrol", "control_has_its_subject"),
    "switch_has_its_value": ("trades_tradingcontrol", "control_has_its_value"),
}


def rename_what_is_named_after_a_table(schema_editor, table, old, new):
    """Give constraints, indexes and sequences of a table, whose names begin with `old_`, names that begin with `new_`."""
    with schema_editor.connection.cursor() as cursor:
        cursor.execute("SELECT conname FROM pg_constraint WHERE conrelid = %s::regclass", [table])
        for (name,) in cursor.fetchall():
            if name.startswith(f"{old}_"):
                renamed = f"{new}_{name.removeprefix(f'{old}_')}"[:63]
                schema_editor.execute(f'ALTER TABLE "{table}" RENAME CONSTRAINT "{name}" TO "{renamed}"')
        for kind, word in (("i", "INDEX"), ("S", "SEQUENCE")):
            cursor.execute(
                "SELECT relname FROM pg_class WHERE relkind = %s AND starts_with(relname, %s) AND pg_table_is_visible(oid)",
                [kind, f"{old}_"],
            )
            for (name,) in cursor.fetchall():
                renamed = f"{new}_{name.removeprefix(f'{old}_')}"[:63]
                schema_editor.execute(f'ALTER {word} "{name}" RENAME TO "{renamed}"')


def forward(apps, schema_editor):
    for old, new in NEW_NAMES.items():
        rename_what_is_named_after_a_table(schema_editor, new, old, new)
    for old, (table, new) in NEW_CONSTRAINTS.items():
        schema_editor.execute(f'ALTER TABLE "{table}" RENAME CONSTRAINT "{old}" TO "{new}"')


def backward(apps, schema_editor):
    for old, new in NEW_NAMES.items():
        rename_what_is_named_after_a_table(schema_editor, new, new, old)
    for old, (table, new) in NEW_CONSTRAINTS.items():
        schema_editor.execute(f'ALTER TABLE "{table}" RENAME CONSTRAINT "{new}" TO "{old}"')


class Migration(migrations.Migration):
    dependencies = [("trades", "0006_counters_keep_xact")]

    operations = [
        pgtrigger.migrations.RemoveTrigger(model_name="move", name="moves_stay"),
        pgtrigger.migrations.RemoveTrigger(model_name="switch", name="switches_stay"),
        pgtrigger.migrations.RemoveTrigger(model_name="trade", name="trades_move_forward"),
        migrations.RenameModel("Move", "StatusChange"),
        migrations.RenameField("statuschange", "why", "reason"),
        migrations.AlterField(
            "statuschange",
            "trade",
            models.ForeignKey(
                db_index=False,
                on_delete=models.PROTECT,
                related_name="status_changes",
                to="trades.trade",
            ),
        ),
        migrations.RenameModel("Switch", "TradingControl"),
        migrations.AlterModelOptions("tradingcontrol", {"verbose_name": "trading control"}),
        migrations.RenameField("tradingcontrol", "why", "reason"),
        migrations.RenameField("report", "why", "reason"),
        migrations.RenameField("webhook", "move", "change"),
        migrations.SeparateDatabaseAndState(
            database_operations=[
                migrations.AlterModelTable("webhook", "webhooks_webhook"),
                migrations.AlterModelTable("delivery", "webhooks_delivery"),
            ],
            state_operations=[migrations.DeleteModel("Delivery"), migrations.DeleteModel("Webhook")],
        ),
        migrations.SeparateDatabaseAndState(
            state_operations=[
                migrations.RemoveConstraint(
                    model_name='statuschange',
                    name='each_move_once',
                ),
                migrations.RemoveConstraint(
                    model_name='tradingcontrol',
                    name='switch_has_its_subject',
                ),
                migrations.RemoveConstraint(
                    model_name='tradingcontrol',
                    name='switch_has_its_value',
                ),
                migrations.AddConstraint(
                    model_name='statuschange',
                    constraint=models.UniqueConstraint(fields=('trade', 'to_status'), name='each_status_once'),
                ),
                migrations.AddConstraint(
                    model_name='tradingcontrol',
                    constraint=models.CheckConstraint(condition=models.Q(models.Q(('customer', None), ('kind', 'halt_all'), ('ticker', '')), models.Q(('customer__isnull', False), ('kind', 'halt_customer'), ('ticker', '')), models.Q(('customer', None), ('kind__in', ['halt_ticker', 'restrict_ticker']), models.Q(('ticker', ''), _negated=True)), models.Q(('kind__in', ['shares_max', 'notional_max', 'orders_a_minute_max']), ('ticker', '')), _connector='OR'), name='control_has_its_subject'),
                ),
                migrations.AddConstraint(
                    model_name='tradingcontrol',
                    constraint=models.CheckConstraint(condition=models.Q(models.Q(('kind__in', ['shares_max', 'notional_max', 'orders_a_minute_max']), ('is_on', True), ('value__gt', 0), ('value__isnull', False)), models.Q(('is_on', False), ('value', None)), models.Q(models.Q(('kind__in', ['shares_max', 'notional_max', 'orders_a_minute_max']), _negated=True), ('value', None)), _connector='OR'), name='control_has_its_value'),
                ),
            ],
        ),
        migrations.RunPython(forward, backward),
        pgtrigger.migrations.AddTrigger(
            model_name='statuschange',
            trigger=pgtrigger.compiler.Trigger(name='status_changes_stay', sql=pgtrigger.compiler.UpsertTriggerSql(func="RAISE EXCEPTION 'pgtrigger: Cannot update or delete rows from % table', TG_TABLE_NAME;", hash='30483464961c629d3e79382d4f554cfa2b37e70e', operation='UPDATE OR DELETE', pgid='pgtrigger_status_changes_stay_428e5', table='trades_statuschange', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='trade',
            trigger=pgtrigger.compiler.Trigger(name='trades_go_forward', sql=pgtrigger.compiler.UpsertTriggerSql(condition='WHEN ((NEW."status" = \'PLACED\' AND OLD."status" = \'IN PROGRESS\') OR (NEW."status" = \'FILLED\' AND OLD."status" = \'PLACED\'))', func="RAISE EXCEPTION 'pgtrigger: Cannot update rows from % table', TG_TABLE_NAME;", hash='2038b5ede0d3331eed771dbd0c53e3ade8a4d06c', operation='UPDATE', pgid='pgtrigger_trades_go_forward_afd2d', table='trades_trade', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='tradingcontrol',
            trigger=pgtrigger.compiler.Trigger(name='controls_stay', sql=pgtrigger.compiler.UpsertTriggerSql(func="RAISE EXCEPTION 'pgtrigger: Cannot update or delete rows from % table', TG_TABLE_NAME;", hash='101e0c4533e11034209554d333447ed524c2873f', operation='UPDATE OR DELETE', pgid='pgtrigger_controls_stay_1b039', table='trades_tradingcontrol', when='BEFORE')),
        ),
    ]
