"""The lists of the back office, by subject. Importing this package registers them."""

from office.tables import audit_log, books, cases, corporate_actions, customers, exchange, proposals, trades

__all__ = ["audit_log", "books", "cases", "corporate_actions", "customers", "exchange", "proposals", "trades"]
