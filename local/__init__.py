"""Everything that makes the brokerage run on one machine: `make run`, `make test` and the fault suite.

Production needs nothing of it: there, DATABASE_URL and BROKER_URL name servers that others look after, and the
Procfile's processes are started by whatever the hosts have.
"""
