"""Delete the rows that a test has committed.

Django would truncate every table and recreate content types and permissions, which takes half a second, because
PostgreSQL replaces each table and index with a new file. Most tests have written a few rows to a dozen tables.
"""

from django.db import connection

# The rows that `migrate` wrote are kept, because no test changes them.
EMPTY = """
    DO $$
    DECLARE
        kept CONSTANT text[] = '{django_migrations, django_content_type, auth_permission}';
        written regclass[] = '{}';
        name regclass;
        is_written boolean;
    BEGIN
        FOR name IN SELECT oid FROM pg_class
            WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace AND relname <> ALL (kept)
        LOOP
            EXECUTE format('SELECT EXISTS (SELECT FROM %s)', name) INTO is_written;
            IF is_written THEN
                written = written || name;
                EXECUTE format('ALTER TABLE %s DISABLE TRIGGER USER', name);
            END IF;
        END LOOP;
        FOREACH name IN ARRAY written LOOP
            EXECUTE format('DELETE FROM %s', name);
        END LOOP;
        SET CONSTRAINTS ALL IMMEDIATE;
        FOREACH name IN ARRAY written LOOP
            EXECUTE format('ALTER TABLE %s ENABLE TRIGGER USER', name);
        END LOOP;
    END $$
"""


def delete_rows() -> None:
    """Delete the rows of every table, with the protecting triggers disabled."""
    with connection.cursor() as cursor:
        cursor.execute(EMPTY)
