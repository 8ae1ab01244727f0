"""Jobs in PostgreSQL by procrastinate, with a lock for each customer."""
