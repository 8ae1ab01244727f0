"""The customer's events in one durable order, read from the history of trades and streamed as they happen."""
