"""Customers with unusual names, or with very many positions."""

from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import pytest
from django.test import Client
from pypdfium2 import PdfDocument
from reportlab.pdfbase.ttfonts import TTFont

from accounts.models import Customer
from exchange import gateway, prices
from exchange.messages import Unknown
from exchange.models import Stock
from tests.conftest import StandInExchange
from tests.people import open_account
from web import pdf
from web.timezones import eastern_today

PageOf = Callable[[Customer], Client]


@pytest.mark.parametrize("name", ["محمد عبد الرحمن", "王小明", "Ωμέγα"])
def test_a_document_names_its_customer_even_if_its_font_lacks_the_letters(
    exchange_with_stocks: StandInExchange, page_of: PageOf, name: str
) -> None:
    customer = open_account("odd@example.com", Decimal(100), name=name)
    client, today = page_of(customer), eastern_today()
    assert name in client.get(f"/statements/{today:%Y-%m}").content.decode()
    text = PdfDocument(client.get(f"/statements/{today:%Y-%m}.pdf").content)[0].get_textpage().get_text_bounded()
    assert f"odd@example.com · Account {customer.id}" in text


def test_every_printable_character_is_in_the_fonts() -> None:
    for file in ("inter-regular.ttf", "inter-semibold.ttf"):
        letters = TTFont("tested", Path(pdf.__file__).parent / "fonts" / file).face.charToGlyph
        printable = [code for code in range(32, 0x10000) if pdf.printable(chr(code), "")]
        assert set(printable) <= set(letters)
        assert pdf.printable("Łukasz Ångström", "") == "Łukasz Ångström"


def test_a_late_response_loses_only_the_prices_of_its_call(
    exchange_with_stocks: StandInExchange, monkeypatch: pytest.MonkeyPatch
) -> None:
    real_quotes = gateway.quotes
    tickers = sorted(Stock.objects.values_list("ticker", flat=True))[:200]
    late_ticker = tickers[120]

    def quotes(batch: list[str]) -> dict[str, dict[str, object]]:
        if late_ticker in batch:
            raise Unknown("late")
        return real_quotes(batch)

    monkeypatch.setattr(gateway, "quotes", quotes)
    known = prices.quotes(tickers)
    assert len(known) >= prices.READ_TOGETHER
    assert late_ticker not in known
