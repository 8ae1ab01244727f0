"""The customer's events in a durable order, read from the history of trades and streamed as they happen."""
