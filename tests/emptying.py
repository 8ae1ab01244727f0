"""Delete the rows that a test has committed.

Django would truncate every table and recreate content types and permissions, which takes half a second, because
PostgreSQL replaces each table and index with a new file. Most tests have written a few rows to a dozen tables.
"""

from django.db import connection

# The rows that `migrate` wrote are excluded, because no test changes them.
EMPTY = """
    DO $$
    DECLARE
        excluded CONSTANT text[] = '{django_migrations, django_content_type, auth_permission}';
        tables regclass[] = '{}';
        name regclass;
        has_rows boolean;
    BEGIN
        FOR name IN SELECT oid FROM pg_class
            WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace AND relname <> ALL (excluded)
        LOOP
            EXECUTE format('SELECT EXISTS (SELECT FROM %s)', name) INTO has_rows;
            IF has_rows THEN
                tables = tables || name;
                EXECUTE format('ALTER TABLE %s DISABLE TRIGGER USER', name);
            END IF;
        END LOOP;
        FOREACH name IN ARRAY tables LOOP
            EXECUTE format('DELETE FROM %s', name);
        END LOOP;
        SET CONSTRAINTS ALL IMMEDIATE;
        FOREACH name IN ARRAY tables LOOP
            EXECUTE format('ALTER TABLE %s ENABLE TRIGGER USER', name);
        END LOOP;
    END $$
"""


def delete_rows() -> None:
    """Delete the rows of every table, with the protecting triggers disabled."""
    with connection.cursor() as cursor:
        cursor.execute(EMPTY)
