"""The brokerage as it is usually written: the work that both peers do, and do in the same way."""
