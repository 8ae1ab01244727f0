"""The page docs/reference/alpaca-py.md: which of their tests are run, which are not, and the results."""

from collections import defaultdict
from pathlib import Path

from tests.alpaca_api.alpaca_py import account, models, orders, positions, watchlists
from tests.alpaca_api.alpaca_py.shim import CASES, RELEASE, Case

PATH = Path(__file__).resolve().parents[3] / "docs/reference/alpaca-py.md"
# How many of each file's tests are run.
RUN = {
    account.ACCOUNT: 4,
    account.ASSETS: 3,
    account.ANNOUNCEMENTS: 1,
    account.OPTIONS: 3,
    orders.ORDERS: 14,
    positions.POSITIONS: 10,
    models.MODELS: 9,
    watchlists.WATCHLISTS: 10,
}
# Their tests of APIs that this server does not have, by file: how many there are, and why none is run.
BROKER_API = "the Broker API (`/v1`), with which a broker manages its customers' accounts, is not served"
MARKET_DATA = "market data (`data.alpaca.markets`) is not served: our own API has quotes and bars"
NOT_RUN = {
    "broker/broker_client/test_account_activities_routes": (7, BROKER_API),
    "broker/broker_client/test_accounts_routes": (23, BROKER_API),
    "broker/broker_client/test_documents_routes": (10, BROKER_API),
    "broker/broker_client/test_funding_routes": (15, BROKER_API),
    "broker/broker_client/test_journal_routes": (7, BROKER_API),
    "broker/broker_client/test_misc_routes": (2, BROKER_API),
    "broker/broker_client/test_rebalancing_routes": (13, BROKER_API),
    "broker/broker_client/test_trading_routes": (14, BROKER_API),
    "broker/broker_client/test_watchlist_routes, of accounts": (2, "the trading client names no account"),
    "broker/test_enums": (1, BROKER_API),
    "broker/test_models": (27, BROKER_API),
    "common/test_common_models": (13, "they test the client's base class and send nothing"),
    "data/test_corporate_actions": (1, MARKET_DATA),
    "data/test_historical_crypto_data": (7, MARKET_DATA),
    "data/test_historical_news_data": (1, MARKET_DATA),
    "data/test_historical_option_data": (22, MARKET_DATA),
    "data/test_historical_stock_data": (21, MARKET_DATA),
    "data/test_screener": (2, MARKET_DATA),
    "data/test_websockets": (2, MARKET_DATA),
}


TEXT = """\
# alpaca-py's own tests against this server

The client's own tests feed it canned responses. `tests/alpaca_api/test_alpaca_py.py` makes the same calls with the
unmodified client ({release}), over HTTP, to this server, whose responses must pass their assertions about types and
fields. Example values are this server's, and IBM replaces SPY, because the stand-in exchange lists no funds. Where one
of their tests sends nothing, because the client itself refuses the request, the same terms are sent without its checks.

{count} of their tests are run: {same} hold, {different} differ. [What is supported](alpaca.md) says what to do instead.
{sections}
## Not run

| their tests | how many | why |
| --- | --- | --- |
{not_run}
"""


def page() -> str:
    """Return docs/reference/alpaca-py.md. `python -m tests.alpaca_api.alpaca_py` writes it."""
    files: dict[str, list[Case]] = defaultdict(list)
    for case in CASES:
        files[case.file].append(case)
    sections = ""
    for file, cases in sorted(files.items()):
        sections += f"\n## `{file}`\n\n| test | call | what must hold | result |\n| --- | --- | --- | --- |\n"
        for case in cases:
            result = f"differs: {case.reason}" if case.reason else "holds"
            sections += f"| `{case.name}` | `{case.call}` | {case.holds} | {result} |\n"
    different = sum(bool(case.reason) for case in CASES)
    not_run = "\n".join(f"| `{file}` | {count} | {reason} |" for file, (count, reason) in NOT_RUN.items())
    return TEXT.format(
        release=RELEASE,
        count=len(CASES),
        same=len(CASES) - different,
        different=different,
        sections=sections,
        not_run=not_run,
    )
