"""Copies of Alice and Bob, each made with one statement.

Making Alice takes 36 queries: 40 ms of CPU in each test that needs her, and half as much in PostgreSQL. So each session
makes both once, with the product's own code, records every row that this inserts or updates, and rolls back. From the
recording it creates a function in the tests' database that repeats these writes in the same order, with new ids and
present times.

A copy leaves in the test's transaction what the original would leave there. It runs none of the product's code, so
caches stay as they are, and nothing is logged or waits for the commit. Tests that commit get originals.
"""

import json
from collections.abc import Callable
from datetime import date, datetime, timedelta
from hashlib import sha256
from typing import Any, NamedTuple

from django.apps import apps
from django.db import connection
from psycopg import sql
from pytest_django.plugin import DjangoDbBlocker
from uuid_utils.compat import uuid7

from accounts.models import Customer
from tests.lasting import lasting
from web.timezones import eastern_today

TIME = "timestamp with time zone"
CUSTOMERS = {"customer_id": "accounts_customer"}  # not every table declares it as a foreign key
_uuids_of: dict[str, int] = {}  # how many UUIDs each copy needs


def copy_of(make: Callable[[], Customer]) -> Customer:
    """Return a copy of the customer that `make` makes; the original if the test commits.

    Args:
        make: A function that was passed to `record`.
    """
    name = make.__name__
    if not connection.in_atomic_block:
        return make()
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT copies.{name}(%s, %s)", [[uuid7() for _ in range(_uuids_of[name])], eastern_today()])
        return Customer.objects.get(pk=cursor.fetchone()[0])


def record(blocker: DjangoDbBlocker, *makers: Callable[[], Customer]) -> None:
    """Call each of these functions once, and create the functions in the database that copy what they make."""
    recordings = {make.__name__: _recording_of(blocker, make) for make in makers}
    with connection.cursor() as cursor:
        cursor.execute("DROP SCHEMA IF EXISTS copies CASCADE; CREATE SCHEMA copies")
        cursor.execute(READ_COLUMNS)
        columns = {(table, name): Column(*more) for table, name, *more in cursor.fetchall()}
        for name, recording in recordings.items():
            script = Script(recording, columns)
            _uuids_of[name] = len(script.uuids)
            cursor.execute(script.function(name))


class Column(NamedTuple):
    """The type of a column, whether it is computed from others, and the sequence that numbers it, if any."""

    type: str
    is_generated: bool
    sequence: str | None


Row = dict[str, str | None]  # values as JSON writes them, but as text


class Write(NamedTuple):
    """A row that was inserted (`old` is empty) or updated."""

    table: str
    old: Row
    new: Row


class Recording(NamedTuple):
    """The rows written while a customer was made, and the times, the day and the transaction to replace in them."""

    customer: str
    writes: list[Write]
    begins_at: datetime
    ends_at: datetime
    day: date
    xact: str


def _recording_of(blocker: DjangoDbBlocker, make: Callable[[], Customer]) -> Recording:
    day = eastern_today()
    with lasting(blocker), connection.cursor() as cursor:
        cursor.execute(RECORD)
        customer = make()
        cursor.execute("SELECT now(), clock_timestamp(), pg_current_xact_id()::text")
        begins_at, ends_at, xact = cursor.fetchone()
        cursor.execute(READ_WRITES)
        writes = [Write(table, json.loads(old or "{}"), json.loads(new)) for table, old, new in cursor.fetchall()]
    if day != eastern_today():  # otherwise a value could be of either day
        return _recording_of(blocker, make)
    return Recording(str(customer.pk), writes, begins_at, ends_at, day, xact)


class Script:
    """Writes the function that repeats a recording.

    It replaces every id, every time within the recording (by the present time, a microsecond apart, in the same order),
    the current day, the number of the transaction, and digests of texts that contain ids. All else stays as it was.
    """

    def __init__(self, recording: Recording, columns: dict[tuple[str, str], Column]) -> None:
        self._recording = recording
        self._columns = columns
        models: list[Any] = [model._meta for model in apps.get_models(include_auto_created=True)]
        self._keys = {model.db_table: [field.column for field in model.pk_fields] for model in models}
        self._related: dict[tuple[str, str], str] = {  # the table whose numbers a column has
            (model.db_table, field.column): field.related_model._meta.db_table
            for model in models
            for field in model.local_concrete_fields
            if field.is_relation
        }
        self._variables: dict[tuple[str, str | None], str] = {}  # of numbered rows, by table and recorded number
        self._declarations: list[str] = []
        uuids: set[str] = set()
        times: set[datetime] = set()
        for table, old, new in recording.writes:
            for name, value in new.items():
                column = columns[table, name]
                if value is not None and column.type == "uuid":
                    uuids.add(value)
                if value is not None and column.type == TIME:
                    times.add(datetime.fromisoformat(value))
                if column.sequence and not old:
                    variable = self._variables[table, value] = f"id_{len(self._variables)}"
                    self._declarations.append(f"{variable} CONSTANT bigint = nextval('{column.sequence}')")
        self.uuids = sorted(uuids)  # in the order in which they were made
        self._declarations += [f"uuid_{number} CONSTANT uuid = ids[{number}]" for number, _ in enumerate(self.uuids, 1)]
        self._times = sorted(time for time in times if recording.begins_at <= time <= recording.ends_at)

    def function(self, name: str) -> str:
        """Return the statement that creates the function."""
        return f"""
            CREATE FUNCTION copies.{name}(ids uuid[], today date) RETURNS bigint LANGUAGE plpgsql AS $function$
            DECLARE
                present CONSTANT timestamptz = statement_timestamp();
                current_xact CONSTANT bigint = pg_current_xact_id()::text::bigint;
                {"; ".join(self._declarations)};
            BEGIN
                {"; ".join(map(self._statement, self._recording.writes))};
                RETURN {self._variables["accounts_customer", self._recording.customer]};
            END $function$
        """

    def _statement(self, write: Write) -> str:
        table, old, new = write
        columns = [
            name
            for name, value in new.items()
            if not self._columns[table, name].is_generated and (not old or value != old[name])
        ]
        values = [self._expression(table, name, new) for name in columns]
        if not old:
            return f"INSERT INTO {table} ({', '.join(map(_quote, columns))}) VALUES ({', '.join(values)})"
        changes = [f"{_quote(name)} = {value}" for name, value in zip(columns, values, strict=True)]
        condition = " AND ".join(f"{_quote(name)} = {self._expression(table, name, old)}" for name in self._keys[table])
        return f"UPDATE {table} SET {', '.join(changes)} WHERE {condition}"

    def _expression(self, table: str, name: str, row: Row) -> str:
        """Return the SQL expression for a value of a row."""
        value, column = row[name], self._columns[table, name]
        numbered = table if column.sequence else self._related.get((table, name), CUSTOMERS.get(name, ""))
        if value is None:
            return "NULL"
        if (numbered, value) in self._variables:
            return self._variables[numbered, value]
        if name == "xact" and value == self._recording.xact:
            return "current_xact"
        if column.type == "date" and value == str(self._recording.day):
            return "today"
        if column.type == TIME and (time := datetime.fromisoformat(value)) >= self._recording.begins_at:
            return self._relative(time)
        for other, text in row.items():
            if text is not None and value == f"\\x{sha256(text.encode()).hexdigest()}":
                return f"sha256(convert_to({self._expression(table, other, row)}, 'UTF8'))"
        return f"({self._with_new_uuids(value)})::{column.type}"

    def _relative(self, time: datetime) -> str:
        """Return the expression for a time within the recording, or a whole number of seconds after one."""
        for number, before in enumerate(self._times):
            if not (time - before) % timedelta(seconds=1):
                return f"present + interval '{number} microseconds {(time - before).total_seconds():.0f} seconds'"
        raise ValueError(f"{time} is neither a time within the recording nor whole seconds after one")

    def _with_new_uuids(self, value: str) -> str:
        text = sql.Literal(value).as_string()
        for number, uuid in enumerate(self.uuids, 1):
            text = text.replace(uuid, f"' || uuid_{number} || '")
        return text


def _quote(name: str) -> str:
    return sql.Identifier(name).as_string()


# Triggers note each row that is written. They are rolled back with everything else.
RECORD = """
    CREATE SCHEMA recording;
    CREATE TABLE recording.write (place bigint GENERATED ALWAYS AS IDENTITY, name text, old jsonb, new jsonb);
    CREATE FUNCTION recording.note() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF TG_OP = 'DELETE' THEN
            RAISE EXCEPTION 'a row of % is deleted, which copies do not repeat', TG_TABLE_NAME;
        END IF;
        INSERT INTO recording.write (name, old, new) VALUES (TG_TABLE_NAME, to_jsonb(OLD), to_jsonb(NEW));
        RETURN NULL;
    END $$;
    DO $$
    DECLARE name regclass;
    BEGIN
        FOR name IN SELECT oid FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace LOOP
            EXECUTE format('CREATE TRIGGER note AFTER INSERT OR UPDATE OR DELETE ON %s
                            FOR EACH ROW EXECUTE FUNCTION recording.note()', name);
        END LOOP;
    END $$
"""
READ_WRITES = """
    SELECT name, (SELECT jsonb_object_agg(key, value #>> '{}') FROM jsonb_each(old)),
           (SELECT jsonb_object_agg(key, value #>> '{}') FROM jsonb_each(new))
    FROM recording.write ORDER BY place
"""
READ_COLUMNS = """
    SELECT c.relname, a.attname, format_type(a.atttypid, a.atttypmod), a.attgenerated <> '',
           CASE WHEN a.attidentity <> '' THEN pg_get_serial_sequence(c.oid::regclass::text, a.attname) END
    FROM pg_attribute AS a JOIN pg_class AS c ON c.oid = a.attrelid
    WHERE c.relkind = 'r' AND c.relnamespace = 'public'::regnamespace AND a.attnum > 0 AND NOT a.attisdropped
"""
