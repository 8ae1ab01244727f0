"""The examples in the OpenAPI schema. Together they tell one consistent story: a customer's first day.

The key is the operation, or the operation and status where the response depends on the status. A test validates every
example against the schema of its operation.
"""

from typing import Any

PLACED_AT, SETTLED_AT = "2026-11-23T15:04:05.417446Z", "2026-11-23T15:04:05.612031Z"
OPENED_AT, CANCELLED_AT = "2026-11-23T14:58:11.203377Z", "2026-11-23T15:04:05.498120Z"
SETTLES_ON = "2026-11-24"
TRADE_ID = "019ab157-5f99-7cc2-8a4e-6f1f3f0a2b11"

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
    "whenClosed": "reject",
    "collarPrice": None,
    "fees": None,
    "netAmount": None,
    "placedAs": None,
    "settlesOn": None,
}
FILLED = TRADE | {
    "status": "FILLED",
    "collarPrice": "196.7175",
    "price": "187.4500",
    "amount": "562.3500",
    "settledAt": SETTLED_AT,
    "fees": "0.0100",
    "netAmount": "562.3600",
    "settlesOn": SETTLES_ON,
}
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
    "isLastKnown": False,
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
    "settlesOn": "2026-11-23",
    "createdAt": OPENED_AT,
}
CASH_OUT = DEPOSIT | {
    "postingId": "4117",
    "kind": "buy",
    "causeId": TRADE_ID,
    "amount": "-562.3500",
    "balance": "24437.6500",
    "price": "187.4500",
    "settlesOn": SETTLES_ON,
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
    "lastUsedAddress": "203.0.113.7",
    "allowedAddresses": ["203.0.113.0/24"],
}
WEBHOOK = {
    "webhookId": "019ab153-af46-70d1-9b2b-8073908cf922",
    "url": "https://example.com/brokerage",
    "events": ["trade.filled", "trade.rejected"],
    "status": "active",
    "statusReason": "",
    "tokenId": TOKEN["tokenId"],
    "previousSecretUntil": None,
    "createdAt": OPENED_AT,
}
DELIVERY: dict[str, Any] = {
    "deliveryId": "812",
    "eventId": "00000000000001f40000000000002c17",
    "type": "trade.filled",
    "createdAt": SETTLED_AT,
    "attempts": 1,
    "lastAnswer": "HTTP 204",
    "deliveredAt": "2026-11-23T15:04:06.020518Z",
    "nextAttemptAt": None,
}
EVENT = {
    "eventId": "00000000000001f40000000000002c17",
    "type": "trade.filled",
    "at": SETTLED_AT,
    "trade": FILLED,
    "corporateAction": None,
}
DIVIDEND_EVENT = {
    "eventId": "00000000000001f50000000000002c18",
    "type": "dividend.paid",
    "at": SETTLED_AT,
    "trade": None,
    "corporateAction": {
        "actionId": "019ab1a7-3c52-7b0e-8d5c-90d3a1f0e6b4",
        "kind": "CASH_DIVIDEND",
        "stockTicker": "AAPL",
        "newTicker": "",
        "exDate": "2026-11-09",
        "payDate": "2026-11-23",
        "amountPerShare": "0.2600",
        "numerator": None,
        "denominator": None,
        "shares": 10,
        "sharesAfter": 10,
        "amount": "2.6000",
    },
}
EVENTS = f"""id: 00000000000001f40000000000002c17
event: trade.placed
data: {{"eventId": "00000000000001f40000000000002c17", "type": "trade.placed", "at": "{PLACED_AT}", "trade": {{…}}, …}}
"""
UNKNOWN_TICKER = {
    "type": "/api/errors/#unknown_ticker",
    "title": "Unprocessable Entity",
    "status": 422,
    "detail": "The exchange does not list this stock.",
    "code": "unknown_ticker",
    "errors": [{"field": "stockTicker", "code": "unknown_ticker", "detail": "The exchange does not list this stock."}],
}

REQUESTS: dict[str, Any] = {
    "placeTrade": {"stockTicker": "AAPL", "type": "BUY", "quantity": 3},
    "placeTrades": {
        "trades": [
            {"stockTicker": "AAPL", "type": "BUY", "quantity": 3, "idempotencyKey": "2026-11-23-1"},
            {"stockTicker": "APPL", "type": "BUY", "quantity": 2, "idempotencyKey": "2026-11-23-2"},
        ]
    },
    "deposit": {"amount": "25000.00"},
    "withdraw": {"amount": "100.00"},
    "createToken": {
        "email": "alice@example.com",
        "password": "correct horse battery",
        "name": "my program",
        "scopes": ["read", "trade"],
        "expiresAt": "2027-11-23T00:00:00Z",
        "allowedAddresses": ["203.0.113.0/24"],
    },
    "createWebhook": {"url": "https://example.com/brokerage", "events": ["trade.filled", "trade.rejected"]},
    "updateWebhook": {"paused": True},
    "rotateWebhookSecret": {"overlapSeconds": 3600},
    "resendEvents": {"after": "00000000000001f40000000000002c17"},
}
ANSWERS: dict[str | tuple[str, str], Any] = {
    "placeTrade": TRADE,
    ("placeTrade", "200"): FILLED,
    "placeTrades": {"results": [{"status": 201, "trade": TRADE}, {"status": 422, "problem": UNKNOWN_TICKER}]},
    "getTrade": FILLED,
    "cancelTrade": CANCELLED,
    "listTrades": {"results": [FILLED], "next": None},
    "listFees": {
        "results": [
            {
                "kind": "taf",
                "name": "FINRA trading activity fee",
                "from": "2024-01-01",
                "until": None,
                "perUsd": "0.000000000000",
                "perShare": "0.000166000000",
                "maximum": "8.3000",
                "onPurchases": False,
                "source": "FINRA Regulatory Notice",
            }
        ]
    },
    "listLots": {
        "method": "fifo",
        "results": [
            {
                "lotId": "019ab157-60f8-7d52-9d2e-5f4a60b1a0c7",
                "stockTicker": "AAPL",
                "causeId": TRADE_ID,
                "acquiredOn": "2026-11-23",
                "quantity": 3,
                "remaining": 3,
                "cost": "562.3500",
                "paidWithUntil": None,
            }
        ],
        "next": None,
    },
    "listGains": {
        "year": 2026,
        "shortTerm": {"proceeds": "188.1000", "cost": "187.4500", "gain": "0.6500"},
        "longTerm": {"proceeds": "0.0000", "cost": "0.0000", "gain": "0.0000"},
        "results": [
            {
                "stockTicker": "AAPL",
                "tradeId": TRADE_ID,
                "acquiredOn": "2026-11-23",
                "soldOn": "2026-11-24",
                "quantity": 1,
                "proceeds": "188.1000",
                "cost": "187.4500",
                "gain": "0.6500",
                "term": "short",
                "washSale": False,
            }
        ],
        "next": None,
    },
    "getBalance": {
        **dict.fromkeys(("amount", "available", "settled", "withdrawable"), "24437.6500"),
        **dict.fromkeys(("held", "unsettled"), "0.0000"),
        "goodFaithViolations": 0,
        "settledCashOnlyUntil": None,
        "lastModified": SETTLED_AT,
    },
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
    "createToken": {name: value for name, value in TOKEN.items() if not name.startswith("lastUsed")}
    | {"token": "brk_0000-this-is-an-example-and-no-token-00000000", "secretKey": "shown-once-and-not-this-one"},
    ("listEvents", "text/event-stream"): EVENTS,
    "listEvents": {"results": [EVENT], "next": None},
    "listWebhooks": {"results": [WEBHOOK]},
    "createWebhook": WEBHOOK | {"secret": "whsec_c2hvd24gb25jZSwgYW5kIG5vdCB0aGlzIG9uZSE="},
    "getWebhook": WEBHOOK,
    "updateWebhook": WEBHOOK | {"status": "paused", "statusReason": "You paused it."},
    "rotateWebhookSecret": WEBHOOK
    | {
        "previousSecretUntil": "2026-11-23T16:04:05.000000Z",
        "secret": "whsec_dGhpcyBpcyBub3QgYSBzZWNyZXQgZWl0aGVyIQ==",
    },
    "resendDelivery": DELIVERY | {"attempts": 0, "deliveredAt": None, "nextAttemptAt": "2026-11-23T15:20:00.000000Z"},
    "resendEvents": {"count": 12, "next": None},
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
}
TEST_EVENT = {
    "eventId": "test-019ab161-b176-72cc-b38c-1cd2029097ae",
    "type": "webhook.test",
    "at": "2026-11-23T15:15:11.479144Z",
    "trade": None,
    "corporateAction": None,
}
PROBLEM = {
    "type": "/api/errors/#invalid",
    "title": "Bad Request",
    "status": 400,
    "detail": "See quantity: Must be a whole number, such as 3.",
    "code": "invalid",
    "errors": [{"field": "quantity", "code": "invalid", "detail": "Must be a whole number, such as 3."}],
}
