"""openapi-python-client generates a client from the schema without warnings, with readable names, that parses our
responses."""

import importlib
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from brokerage import examples, schema

SCHEMA = Path(__file__).parents[2] / "docs/openapi.yaml"
pytestmark = pytest.mark.process


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Generate the client; return its models."""
    folder = tmp_path_factory.mktemp("client")
    configuration = folder / "configuration.yaml"
    configuration.write_text("post_hooks: []\npackage_name_override: generated_client\n")
    program = str(Path(sys.executable).parent / "openapi-python-client")
    command = [program, "generate", "--path", str(SCHEMA), "--meta", "none", "--output-path"]
    command += [str(folder / "generated_client"), "--config", str(configuration), "--fail-on-warning"]
    process = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert process.returncode == 0, process.stdout + process.stderr
    sys.path.insert(0, str(folder))
    try:
        yield importlib.import_module("generated_client.models")
    finally:
        sys.path.remove(str(folder))


def test_its_names_are_readable(models: Any) -> None:
    names = [name for name in models.__all__ if not name.startswith("Alpaca")]
    assert {
        "PlaceTradeRequest",
        "PlaceTradesRequest",
        "Batch",
        "BatchResult",
        "Trade",
        "TradePage",
        "Event",
        "Webhook",
        "ReasonCode",
        "Problem",
    } <= set(names)
    assert [name for name in names if re.search(r"RequestRequest|Answer|Enum[0-9]|[0-9a-f]{3,}Enum", name)] == []


@pytest.mark.parametrize(
    ("model", "example"),
    [
        ("Trade", examples.FILLED),
        ("Trade", examples.CANCELLED),
        ("Position", examples.POSITION),
        ("Posting", examples.DEPOSIT),
        ("Webhook", examples.WEBHOOK),
        ("Delivery", examples.DELIVERY),
        ("Event", examples.EVENT),
        ("TradePage", schema.ANSWERS["listTrades"]),
        ("Batch", schema.ANSWERS["placeTrades"]),
        ("AlpacaOrder", schema.ANSWERS["alpacaSubmitOrder"]),
        ("AlpacaAccount", schema.ANSWERS["alpacaGetAccount"]),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_it_parses_our_responses(models: Any, model: str, example: dict[str, Any]) -> None:
    parsed = getattr(models, model).from_dict(example)
    serialized = parsed.to_dict()
    assert set(serialized) == set(example)
    assert serialized.get("tradeId") == example.get("tradeId")


def test_it_sends_valid_requests(models: Any) -> None:
    request = models.PlaceTradeRequest(stock_ticker="AAPL", type_=models.TradeType.BUY, quantity=3)
    assert request.to_dict() == schema.REQUESTS["placeTrade"] | {"whenClosed": "reject"}
