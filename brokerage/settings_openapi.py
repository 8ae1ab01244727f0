"""Settings of drf-spectacular, which describes the REST API in OpenAPI."""

from typing import Any

SPECTACULAR_SETTINGS: dict[str, Any] = {
    "TITLE": "Brokerage",
    "VERSION": "1",
    "DESCRIPTION": "Place market orders for US stocks, follow them until they are final, and read the books.",
    "SERVERS": [{"url": "/", "description": "The brokerage that serves this schema."}],
    "SERVE_INCLUDE_SCHEMA": False,
    "SCHEMA_PATH_PREFIX": "/api/v1",
    "TAGS": [
        {"name": "trades", "description": "Place market orders, and follow them until they are FILLED or REJECTED."},
        {"name": "account", "description": "Cash, positions, and every movement of them."},
        {"name": "market", "description": "Last prices, and when the market is open."},
        {"name": "events", "description": "Everything that happens to your trades, as a list or as a stream."},
        {"name": "webhooks", "description": "Have your events posted to a server of yours."},
        {"name": "tokens", "description": "Grants for programs."},
        {"name": "alpaca", "description": "The same account through the API of Alpaca, for programs written for it."},
    ],
    "POSTPROCESSING_HOOKS": [
        "drf_spectacular.hooks.postprocess_schema_enums",
        "brokerage.schema.complete",
    ],
    "ENUM_GENERATE_CHOICE_DESCRIPTION": False,
    "ENUM_NAME_OVERRIDES": {
        "TradeType": "trades.models.Type",
        "TradeStatus": "trades.models.Status",
        "ReasonCode": "trades.models.Reason",
        "OrderSide": ["buy", "sell"],
        "AssetClass": ["us_equity"],
        "MarketOrder": ["market"],
        "OrderType": ["market", "limit", "stop", "stop_limit", "trailing_stop"],
        "ActivityType": ["FILL", "CSD", "CSW", "FEE", "JNLC", "JNLS", "DIV", "SPLIT", "CIL", "SC"],
        "FillType": ["fill"],
        "OrderStatus": ["accepted", "new", "filled", "rejected", "canceled"],
        "FilledOrder": ["filled"],
        "CorporateActionKind": "trades.models.CorporateAction.Kind",
        "EventType": "feed.reader.EVENT_TYPES",
        "WebhookStatus": "webhooks.models.Webhook.Status",
    },
    "COMPONENT_SPLIT_REQUEST": True,
}
