"""The fuzzer finds addresses, forms and names by itself, so that none can be forgotten."""

from django.urls import get_resolver

from tests.fuzz.pages import Forms, addresses, names


def test_forms_and_links_with_a_query_are_found() -> None:
    forms = Forms("/cash")
    forms.feed(
        '<a href="?part=2&day=x">2</a><form method="post" action="/cash/deposit">'
        '<input type="hidden" name="key" value="k">'
        '<input name="csrfmiddlewaretoken" value="x"><select name="bank"><option value="a"><option value="b" selected>'
        '</select></form><a href="https://elsewhere.example/?q=1">elsewhere</a>'
    )
    assert [(form.action, form.method, form.fields) for form in forms.found] == [
        ("/cash", "GET", {"part": "2", "day": "x"}),
        ("/cash/deposit", "POST", {"key": "k", "bank": "b"}),
    ]


def test_every_address_of_pages_is_known_and_none_of_an_api() -> None:
    known = set(addresses(get_resolver()))
    assert {"/", "/cash", "/stocks/<ticker:ticker>/trade", "/account/login/", "/admin/trades/trade/"} <= known
    assert not [address for address in known if address.startswith(("/api/v1/", "/alpaca/"))]


def test_names_come_from_forms_filters_and_the_source() -> None:
    assert {"amount", "quantity", "addresses", "day", "customer", "part", "range", "q"} <= set(names())
