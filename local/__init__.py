"""Runs the brokerage on one machine: `make run`, `make test` and the fault suite.

Production doesn't use this package: there, DATABASE_URL and BROKER_URL name servers that are operated separately, and
systemd, Kubernetes or another supervisor starts the Procfile's processes.
"""
