"""An API for unmodified clients of Alpaca's Trading API; docs/reference/alpaca.md says what it supports.

Like our own REST API, it is a door: it translates requests and calls the same verbs and queries. The package is not
called `alpaca` because the client library has that name.
"""
