"""alpaca-py's own tests, run against this server: for each, what must hold and, where this server differs, why.

Their tests feed the client a canned response. Here the same call goes over HTTP to this server, whose response must
pass their assertions about types and fields. Example values (a price, a count) are this server's. IBM replaces SPY,
because the stand-in exchange lists no funds.
"""

import warnings

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # the client imports deprecated names from websockets
    import alpaca.trading.client  # noqa: F401
