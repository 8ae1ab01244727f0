"""The procrastinate peer: jobs in PostgreSQL, with a lock for each customer."""
