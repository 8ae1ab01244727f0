"""A conventionally written brokerage: the code that both peers share."""
