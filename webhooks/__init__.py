"""Webhooks: a customer's events, posted to an address of theirs."""
