"""What the OpenAPI schema shows as sent and answered: one customer's first day, told the same way throughout.

By operation; for an operation that answers differently with each status, by operation and status. A test holds every
example against the schema of its own operation.
"""

from typing import Any

PLACED_AT, SETTLED_AT = "2026-11-23T15:04:05.417446Z", "2026-11-23T15:04:05.612031Z"
OPENED_AT, CANCELLED_AT = "2026-11-23T14:58:11.203377Z", "2026-11-23T15:04:05.498120Z"
TRADE_ID = "019ab157-5f99-7cc2-8a4e-6f1f3f0a2b11"

# -- our own API

TRADE: dict[str, Any] = {
    "tradeId": TRADE_ID,
    "stockTicker": "AAPL",
    "type": "BUY",
    "quantity": 3,
    "createdAt": PLACED_AT,
    "status": "PLACED",
    "reason": None,
    "reasonCode": None,
    "price": None,
    "amount": None,
    "settledAt": None,
}
FILLED = TRADE | {"status": "FILLED", "price": "187.4500", "amount": "562.3500", "settledAt": SETTLED_AT}
CANCELLED = TRADE | {
    "status": "REJECTED",
    "reason": "The customer cancelled the trade before it was sent.",
    "reasonCode": "cancelled",
    "settledAt": CANCELLED_AT,
}
POSITION = {
    "stockTicker": "AAPL",
    "quantity": 3,
    "held": 0,
    "averagePrice": "187.4500",
    "lastPrice": "188.1000",
    "marketValue": "564.3000",
}
DEPOSIT: dict[str, Any] = {
    "postingId": "4101",
    "kind": "deposit",
    "causeId": "019ab151-f893-75df-9417-d556db2be889",
    "stockTicker": None,
    "amount": "25000.0000",
    "balance": "25000.0000",
    "quantity": None,
    "position": None,
    "price": None,
    "createdAt": OPENED_AT,
}
CASH_OUT = DEPOSIT | {
    "postingId": "4117",
    "kind": "buy",
    "causeId": TRADE_ID,
    "amount": "-562.3500",
    "balance": "24437.6500",
    "price": "187.4500",
    "createdAt": SETTLED_AT,
}
SHARES_IN = CASH_OUT | {
    "postingId": "4118",
    "stockTicker": "AAPL",
    "amount": None,
    "balance": None,
    "quantity": 3,
    "position": 3,
}
WITHDRAWAL = DEPOSIT | {
    "postingId": "4120",
    "kind": "withdrawal",
    "causeId": "019ab15c-2e73-77d6-bfbf-aa091391077c",
    "amount": "-100.0000",
    "balance": "24337.6500",
    "createdAt": "2026-11-23T15:09:20.115302Z",
}
TOKEN = {
    "tokenId": "019ab152-4c43-7086-8640-ba96f506f032",
    "name": "my program",
    "keyId": "BKD81A396E6B9EF44540",
    "scopes": ["read", "trade"],
    "createdAt": OPENED_AT,
    "expiresAt": "2027-11-23T00:00:00.000000Z",
    "lastUsedAt": SETTLED_AT,
}
WEBHOOK = {
    "webhookId": "019ab153-af46-70d1-9b2b-8073908cf922",
    "url": "https://example.com/brokerage",
    "createdAt": OPENED_AT,
}
DELIVERY: dict[str, Any] = {
    "deliveryId": "812",
    "eventId": "0000000000a4f1-0000000000002c17",
    "type": "trade.filled",
    "createdAt": SETTLED_AT,
    "attempts": 1,
    "lastAnswer": "HTTP 204",
    "deliveredAt": "2026-11-23T15:04:06.020518Z",
    "nextAttemptAt": None,
}
EVENTS = f"""id: 0000000000a4f1-0000000000002c17
event: trade.placed
data: {{"eventId": "0000000000a4f1-0000000000002c17", "type": "trade.placed", "at": "{PLACED_AT}", "trade": {{…}}}}
"""

# -- the Alpaca-compatible API

ORDER: dict[str, Any] = {
    "id": TRADE_ID,
    "client_order_id": "my-first",
    "created_at": PLACED_AT,
    "updated_at": PLACED_AT,
    "submitted_at": PLACED_AT,
    "filled_at": None,
    "expired_at": None,
    "canceled_at": None,
    "failed_at": None,
    "replaced_at": None,
    "replaced_by": None,
    "replaces": None,
    "asset_id": "aa92581b-1bd1-5410-9bc3-9b0a228183cb",
    "symbol": "AAPL",
    "asset_class": "us_equity",
    "notional": None,
    "qty": "3",
    "filled_qty": "0",
    "filled_avg_price": None,
    "order_class": "",
    "order_type": "market",
    "type": "market",
    "side": "buy",
    "time_in_force": "day",
    "limit_price": None,
    "stop_price": None,
    "status": "accepted",
    "extended_hours": False,
    "legs": None,
    "trail_percent": None,
    "trail_price": None,
    "hwm": None,
    "reject_reason": None,
}
FILLED_ORDER = ORDER | {
    "status": "filled",
    "filled_qty": "3",
    "filled_avg_price": "187.45",
    "updated_at": SETTLED_AT,
    "filled_at": SETTLED_AT,
}
SELL_ORDER = ORDER | {
    "id": "019ab15f-114a-7769-b2f9-6d445ded8a23",
    "client_order_id": "019ab15f-114a-7769-b2f9-6d445ded8a23",
    "side": "sell",
    **dict.fromkeys(("created_at", "updated_at", "submitted_at"), "2026-11-23T15:12:31.435197Z"),
}
ACCOUNT_ID = "6576a453-96d7-5979-b015-78bcb8f0db5c"
ACCOUNT = {
    "id": ACCOUNT_ID,
    "account_number": "000000001",
    "status": "ACTIVE",
    "currency": "USD",
    "cash": "24437.65",
    "buying_power": "24437.65",
    "regt_buying_power": "24437.65",
    "non_marginable_buying_power": "24437.65",
    "daytrading_buying_power": "0",
    "portfolio_value": "25001.95",
    "equity": "25001.95",
    "last_equity": "25001.95",
    "long_market_value": "564.3",
    "short_market_value": "0",
    "initial_margin": "564.3",
    "maintenance_margin": "0",
    "last_maintenance_margin": "0",
    "sma": "0",
    "accrued_fees": "0",
    "multiplier": "1",
    "shorting_enabled": False,
    "pattern_day_trader": False,
    "daytrade_count": 0,
    "trading_blocked": False,
    "transfers_blocked": False,
    "account_blocked": False,
    "trade_suspended_by_user": False,
    "created_at": OPENED_AT,
}
CONFIGURATIONS = {
    "fractional_trading": False,
    "max_margin_multiplier": "1",
    "no_shorting": True,
    "ptp_no_exception_entry": False,
    "suspend_trade": False,
    "trade_confirm_email": "all",
}
FILL = {
    "id": f"20261123150405612::{TRADE_ID}",
    "account_id": ACCOUNT_ID,
    "activity_type": "FILL",
    "transaction_time": SETTLED_AT,
    "type": "fill",
    "price": "187.45",
    "qty": "3",
    "side": "buy",
    "symbol": "AAPL",
    "leaves_qty": "0",
    "order_id": TRADE_ID,
    "cum_qty": "3",
    "order_status": "filled",
}
CASH_IN = {
    "id": "20261123145811203::019ab151-f893-75df-9417-d556db2be889",
    "account_id": ACCOUNT_ID,
    "activity_type": "CSD",
    "date": "2026-11-23",
    "net_amount": "25000",
    "description": "Deposit",
    "status": "executed",
}
ALPACA_POSITION = {
    "asset_id": "aa92581b-1bd1-5410-9bc3-9b0a228183cb",
    "symbol": "AAPL",
    "exchange": "NASDAQ",
    "asset_class": "us_equity",
    "asset_marginable": False,
    "avg_entry_price": "187.45",
    "qty": "3",
    "qty_available": "3",
    "side": "long",
    "market_value": "564.3",
    "cost_basis": "562.35",
    "unrealized_pl": "1.95",
    "unrealized_plpc": "0.003468",
    "unrealized_intraday_pl": None,
    "unrealized_intraday_plpc": None,
    "current_price": "188.1",
    "lastday_price": None,
    "change_today": None,
}
ASSET = {
    "id": "aa92581b-1bd1-5410-9bc3-9b0a228183cb",
    "class": "us_equity",
    "exchange": "NASDAQ",
    "symbol": "AAPL",
    "name": "Apple Inc.",
    "status": "active",
    "tradable": True,
    "marginable": False,
    "shortable": False,
    "easy_to_borrow": False,
    "fractionable": False,
    "attributes": [],
}
IBM = ASSET | {"id": "e23611c4-525b-5d73-b4d6-41fed195ec71", "exchange": "NYSE", "symbol": "IBM", "name": "IBM"}
BARE_WATCHLIST = {
    "id": "019ab160-b139-770a-9cb2-04669d5cc787",
    "account_id": ACCOUNT_ID,
    "name": "tech",
    "created_at": "2026-11-23T15:14:09.417904Z",
    "updated_at": "2026-11-23T15:14:09.417904Z",
}
WATCHLIST = BARE_WATCHLIST | {"assets": [ASSET]}
LONGER_WATCHLIST = BARE_WATCHLIST | {"updated_at": "2026-11-23T15:14:12.421349Z", "assets": [ASSET, IBM]}

REQUESTS: dict[str, Any] = {
    "placeTrade": {"stockTicker": "AAPL", "type": "BUY", "quantity": 3},
    "deposit": {"amount": "25000.00"},
    "withdraw": {"amount": "100.00"},
    "createToken": {
        "email": "alice@example.com",
        "password": "correct horse battery",
        "name": "my program",
        "scopes": ["read", "trade"],
        "expiresAt": "2027-11-23T00:00:00Z",
    },
    "createWebhook": {"url": "https://example.com/brokerage"},
    "alpacaSubmitOrder": {
        "symbol": "AAPL",
        "qty": "3",
        "side": "buy",
        "type": "market",
        "time_in_force": "day",
        "client_order_id": "my-first",
    },
    "alpacaSetConfigurations": {"suspend_trade": True},
    "alpacaCreateWatchlist": {"name": "tech", "symbols": ["AAPL"]},
    "alpacaUpdateWatchlist": {"name": "big tech"},
    "alpacaAddToWatchlist": {"symbol": "IBM"},
}
ANSWERS: dict[str | tuple[str, str], Any] = {
    "placeTrade": TRADE,
    ("placeTrade", "200"): FILLED,
    "getTrade": FILLED,
    "cancelTrade": CANCELLED,
    "listTrades": {"results": [FILLED], "next": None},
    "getBalance": {"amount": "24437.6500", "held": "0.0000", "available": "24437.6500", "lastModified": SETTLED_AT},
    "listPostings": {"results": [SHARES_IN, CASH_OUT], "next": "GQYTCNY="},
    "deposit": DEPOSIT,
    "withdraw": WITHDRAWAL,
    "listPositions": [POSITION],
    "getPosition": POSITION,
    "getQuote": {"stockTicker": "AAPL", "price": "188.1000", "at": "2026-11-23T15:04:31.458137Z"},
    "getMarket": {
        "isOpen": True,
        "hours": "nyse",
        "nextOpen": "2026-11-24T14:30:00.000000Z",
        "nextClose": "2026-11-23T21:00:00.000000Z",
    },
    "listTokens": {"results": [TOKEN]},
    "createToken": {name: value for name, value in TOKEN.items() if name != "lastUsedAt"}
    | {"token": "brk_0000-this-is-an-example-and-no-token-00000000", "secretKey": "shown-once-and-not-this-one"},
    "streamEvents": EVENTS,
    "listWebhooks": {"results": [WEBHOOK]},
    "createWebhook": WEBHOOK | {"secret": "whsec_c2hvd24gb25jZSwgYW5kIG5vdCB0aGlzIG9uZSE="},
    "getWebhook": WEBHOOK,
    "listDeliveries": {"results": [DELIVERY], "next": None},
    "testWebhook": DELIVERY
    | {
        "deliveryId": "813",
        "eventId": "test-019ab161-b176-72cc-b38c-1cd2029097ae",
        "type": "webhook.test",
        "createdAt": "2026-11-23T15:15:11.479144Z",
        "attempts": 0,
        "lastAnswer": "",
        "deliveredAt": None,
        "nextAttemptAt": "2026-11-23T15:15:11.479144Z",
    },
    "alpacaGetAccount": ACCOUNT,
    "alpacaGetConfigurations": CONFIGURATIONS,
    "alpacaSetConfigurations": CONFIGURATIONS | {"suspend_trade": True},
    "alpacaListActivities": [FILL, CASH_IN],
    "alpacaListActivitiesOfType": [FILL],
    "alpacaGetPortfolioHistory": {
        "timestamp": [1795447800, 1795451400, 1795455000],
        "equity": [25000.0, 25000.6, 25001.95],
        "profit_loss": [0.0, 0.6, 1.95],
        "profit_loss_pct": [0.0, 0.000024, 0.000078],
        "base_value": 25000.0,
        "base_value_asof": "2026-11-23",
        "timeframe": "1H",
        "cashflow": {},
    },
    "alpacaListAssets": [ASSET, IBM],
    "alpacaGetAsset": ASSET,
    "alpacaGetCalendar": [
        {
            "date": "2026-11-27",
            "open": "09:30",
            "close": "13:00",
            "session_open": "0930",
            "session_close": "1300",
            "settlement_date": "2026-11-30",
        }
    ],
    "alpacaGetClock": {
        "timestamp": PLACED_AT,
        "is_open": True,
        "next_open": "2026-11-24T14:30:00.000000Z",
        "next_close": "2026-11-23T21:00:00.000000Z",
    },
    "alpacaListOrders": [FILLED_ORDER],
    "alpacaSubmitOrder": ORDER,
    "alpacaGetOrder": FILLED_ORDER,
    "alpacaGetOrderByClientId": FILLED_ORDER,
    "alpacaCancelOrders": [{"id": TRADE_ID, "status": 200}],
    "alpacaListPositions": [ALPACA_POSITION],
    "alpacaGetPosition": ALPACA_POSITION,
    "alpacaClosePosition": SELL_ORDER,
    "alpacaClosePositions": [{"symbol": "AAPL", "status": 200, "body": SELL_ORDER}],
    "alpacaListWatchlists": [BARE_WATCHLIST],
    "alpacaCreateWatchlist": WATCHLIST,
    "alpacaGetWatchlist": WATCHLIST,
    "alpacaAddToWatchlist": LONGER_WATCHLIST,
    "alpacaUpdateWatchlist": LONGER_WATCHLIST | {"name": "big tech"},
    "alpacaRemoveFromWatchlist": WATCHLIST | {"updated_at": "2026-11-23T15:14:15.427594Z"},
}
PROBLEM = {
    "type": "about:blank",
    "title": "Bad Request",
    "status": 400,
    "detail": "See quantity: Must be a whole number, such as 3.",
    "code": "invalid",
    "errors": [{"field": "quantity", "code": "invalid", "detail": "Must be a whole number, such as 3."}],
}
