"""Privileges: what the processes may do in the database, and what nobody may do. `migrate` applies them each time.

The tables belong to the role that migrates. The processes sign in as another role, which owns nothing: SQL injected
into a process can neither empty a table nor remove the triggers that protect it, and there is no other role that it
could switch to. `deploy/roles.sql` creates both roles.
"""

from collections.abc import Iterator

from django.apps import apps
from django.db import connection
from psycopg import sql

OPERATIONS = ("INSERT", "UPDATE", "DELETE")
READ_ONLY_TABLES = {"django_migrations"}
UPDATED_COLUMNS = {"accounts_posting": ["settles_on"]}  # the only columns that may change; a trigger checks when
NO_TRUNCATE = "no_truncate"  # the name of a trigger of each protected table, and of the function that it calls

# django-pgtrigger's triggers do nothing if the setting `pgtrigger.ignore` names them, and any role may set it. They
# call this function to find out. Every migration with a trigger replaces it with the library's own.
NEVER_IGNORE = """
    CREATE OR REPLACE FUNCTION public._pgtrigger_should_ignore(trigger_name name) RETURNS boolean
    LANGUAGE sql IMMUTABLE PARALLEL SAFE AS 'SELECT false'
"""
REFUSE_TRUNCATE = f"""
    CREATE OR REPLACE FUNCTION public.{NO_TRUNCATE}() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        RAISE EXCEPTION '% keeps its rows', TG_TABLE_NAME USING ERRCODE = 'restrict_violation';
    END $$
"""
WITHOUT_TRIGGER = """
    SELECT relname FROM pg_class AS c
    WHERE relnamespace = 'public'::regnamespace AND relname = ANY (%s::text[])
      AND NOT EXISTS (SELECT FROM pg_trigger WHERE tgrelid = c.oid AND tgname = %s)
    ORDER BY relname
"""


def refused_operations() -> dict[str, set[str]]:
    """Return the protected tables, each with the operations that its triggers refuse for every row."""
    refused: dict[str, set[str]] = {}
    for model in apps.get_models():
        for trigger in getattr(model._meta, "triggers", []):
            operations = refused.setdefault(model._meta.db_table, set())
            if trigger.condition is None:
                operations.update(name for name in OPERATIONS if name in str(trigger.operation).split(" OR "))
    for table in UPDATED_COLUMNS:
        refused[table].add("UPDATE")
    return refused


def protect() -> None:
    """Prevent everybody from emptying protected tables, and from ignoring triggers.

    Idempotent: yes.
    """
    with connection.cursor() as cursor:
        cursor.execute(NEVER_IGNORE)
        cursor.execute(REFUSE_TRUNCATE)
        cursor.execute(WITHOUT_TRIGGER, [sorted(refused_operations()), NO_TRUNCATE])
        for (table,) in cursor.fetchall():
            cursor.execute(
                sql.SQL("CREATE TRIGGER {} BEFORE TRUNCATE ON {} EXECUTE FUNCTION public.{}()").format(
                    sql.Identifier(NO_TRUNCATE), sql.Identifier(table), sql.Identifier(NO_TRUNCATE)
                )
            )


def grant(role: str) -> None:
    """Let a role read and write every table, as far as triggers allow it, including tables created later.

    Idempotent: yes.
    """
    with connection.cursor() as cursor:
        for statement in _grants(set(connection.introspection.table_names(cursor))):
            cursor.execute(sql.SQL(statement).format(role=sql.Identifier(role)))


def _grants(tables: set[str]) -> Iterator[str]:
    yield "GRANT USAGE ON SCHEMA public TO {role}"
    for all_of, to_come in (
        ("SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public", "SELECT, INSERT, UPDATE, DELETE ON TABLES"),
        ("USAGE, SELECT ON ALL SEQUENCES IN SCHEMA public", "USAGE, SELECT ON SEQUENCES"),
    ):
        yield f"GRANT {all_of} TO {{role}}"
        yield f"ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT {to_come} TO {{role}}"
    refused = refused_operations() | {table: set(OPERATIONS) for table in READ_ONLY_TABLES}
    for table, operations in sorted(refused.items()):
        if operations and table in tables:
            yield f'REVOKE {", ".join(sorted(operations))} ON "{table}" FROM {{role}}'
    for table, columns in UPDATED_COLUMNS.items():
        if table in tables:
            yield f'GRANT UPDATE ({", ".join(columns)}) ON "{table}" TO {{role}}'
