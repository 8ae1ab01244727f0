"""An API that clients of Alpaca's Trading API work against, unmodified; docs/reference/alpaca.md says how far.

It is a door like our own REST API: it translates, and calls the same verbs and queries. The package is not called
`alpaca` because that is the name of the client's.
"""
