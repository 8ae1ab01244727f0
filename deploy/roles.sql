-- Creates the brokerage's two roles and its database, unless they exist. Run it once, as a superuser:
--   OWNER_PASSWORD=… RUNTIME_PASSWORD=… psql -v ON_ERROR_STOP=1 -f deploy/roles.sql postgres
-- brokerage owns the tables; only `migrate` uses it (MIGRATE_DATABASE_URL).
-- brokerage_runtime owns nothing; every process uses it (DATABASE_URL). `migrate` grants it access to the tables.
\getenv owner_password OWNER_PASSWORD
\getenv runtime_password RUNTIME_PASSWORD
SELECT format('CREATE ROLE brokerage LOGIN PASSWORD %L', :'owner_password')
WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'brokerage') \gexec
SELECT format('CREATE ROLE brokerage_runtime LOGIN PASSWORD %L', :'runtime_password')
WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'brokerage_runtime') \gexec
SELECT 'CREATE DATABASE brokerage OWNER brokerage'
WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = 'brokerage') \gexec
