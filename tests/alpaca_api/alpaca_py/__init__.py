"""alpaca-py's own tests, run against this server: one case for each, with what must hold and, where it differs, why.

Their tests give the client an answer that was written down beforehand. Here the same call goes over HTTP to this
server, and what theirs assert of types and fields must hold of its answer. An example's figures (a price, a count) are
this server's. IBM takes the place of SPY: the stand-in exchange lists no funds.
"""

import warnings

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # of its own imports, of old names of websockets
    import alpaca.trading.client  # noqa: F401
