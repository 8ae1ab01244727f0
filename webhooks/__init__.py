"""Webhooks: a customer's events, posted to the customer's own server."""
