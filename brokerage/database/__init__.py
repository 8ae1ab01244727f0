"""Django's PostgreSQL backend with a few changes; see `base`."""
