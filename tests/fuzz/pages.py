"""Fuzzing of the pages and the back office: no request may cause a server error.

The addresses come from Django's URL resolver. The field names come from the forms on the visited pages, from all form
classes and filters, and from the source code that reads queries. Each name is tried once at every address, and then at
random, with edge-case values; as a customer with trades, and as a superuser of the back office. A visitor who gets
signed out is signed in again.
"""

import random
import re
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode, urljoin, urlsplit

import urllib3
from django.apps import apps
from django.conf import settings
from django.contrib import admin
from django.forms import BaseForm
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver

from accounts import tokens
from accounts.customers import create_customer
from accounts.models import Customer
from tests.fuzz.values import DAYS, VALID_VALUES, VALUES
from tests.office.conftest import signed_in
from trades.models import Type
from trades.place import place_trade
from webhooks import subscriptions

PACKAGES = ("accounts", "brokerage", "office", "trades", "web", "webhooks")
READ = re.compile(r"""(?:GET|POST)(?:\.get(?:list)?\(|\[)["'](\w+)""")
PARAMETER = re.compile(r"<(?:\w+:)?(\w+)>")
API_ADDRESSES = ("/api/v1/", "/alpaca/", "/exchange/", "/api/schema/")  # for programs, or for the exchange
CSRF = "x" * 32
SECONDS_MAX = 20.0  # for one response
NO_RESPONSE = 599  # stands for the missing status
TOKEN_FIELD = "csrfmiddlewaretoken"


@dataclass
class Form:
    """A form of a page, with the values of its fields."""

    action: str
    method: str
    fields: dict[str, str] = field(default_factory=dict)


class Forms(HTMLParser):
    """Finds the forms of a page, and its links with a query, which count as forms."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self._page, self._open = page, Form(page, "GET")
        self.found: list[Form] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = {name: value or "" for name, value in attrs}
        if tag == "form":
            self._open = Form(
                urljoin(self._page, attributes.get("action", "")), attributes.get("method", "get").upper()
            )
            self.found.append(self._open)
        elif tag in {"input", "select", "textarea", "button"} and attributes.get("name", TOKEN_FIELD) != TOKEN_FIELD:
            self._open.fields.setdefault(attributes["name"], attributes.get("value", "") or "1")
        elif tag == "option" and self._open.fields and "selected" in attributes:
            self._open.fields[next(reversed(self._open.fields))] = attributes.get("value", "")
        elif tag == "a" and "?" in (href := urljoin(self._page, attributes.get("href", ""))):
            parts = urlsplit(href)
            if not parts.netloc:
                self.found.append(Form(parts.path, "GET", dict(parse_qsl(parts.query))))


class Visitor:
    """A browser that stays signed in."""

    def __init__(self, url: str, customer: Customer) -> None:
        self._pool = urllib3.connection_from_url(url, retries=False, timeout=SECONDS_MAX)
        self._customer = customer
        self._original = Customer.objects.filter(pk=customer.pk).values().get()
        self._sign_in()

    def request(self, method: str, address: str, fields: dict[str, str]) -> tuple[int, str]:
        """Send a form, or request a page; return the status and the page."""
        content = urlencode({name: value.encode("utf-8", "surrogatepass") for name, value in fields.items()})
        headers = {"Cookie": f"sessionid={self._session}; csrftoken={CSRF}", "X-CSRFToken": CSRF}
        target, body = address, None
        if method == "POST":
            body, headers["Content-Type"] = content, "application/x-www-form-urlencoded"
        elif content:
            target = f"{address}?{content}"
        response = self._pool.request(method, target, body=body, headers=headers, redirect=False)
        if "/login/" in response.headers.get("Location", ""):
            self._sign_in()
        return response.status, response.data.decode(errors="replace")

    def _sign_in(self) -> None:
        fields = {name: self._original[name] for name in ("email", "password", "is_active", "is_staff", "is_superuser")}
        Customer.objects.filter(pk=self._customer.pk).update(**fields)
        self._customer.refresh_from_db()
        client = signed_in(self._customer) if self._customer.is_staff else Client()
        if not self._customer.is_staff:
            client.force_login(self._customer, "allauth.account.auth_backends.AuthenticationBackend")
        self._session = client.cookies[settings.SESSION_COOKIE_NAME].value


def addresses(resolver: URLResolver, prefix: str = "/") -> Iterator[str]:
    """Yield every address of a page, with its parameters in angle brackets."""
    for pattern in resolver.url_patterns:
        path = prefix + str(pattern.pattern)
        if isinstance(pattern, URLResolver):
            yield from addresses(pattern, path)
        elif isinstance(pattern, URLPattern) and not path.startswith(API_ADDRESSES) and not set("^$") & set(path):
            yield path


def names() -> list[str]:
    """Return every name that a form, a filter or the source code knows."""
    assert get_resolver().url_patterns  # loads every module that has a form
    result = {name for kind in _subclasses(BaseForm) for name in getattr(kind, "base_fields", {})}
    filters: list[Any] = [item for table in admin.site._registry.values() for item in table.list_filter]
    result |= {item.parameter_name for item in filters if hasattr(item, "parameter_name")}
    for package in PACKAGES:
        for source in Path(settings.BASE_DIR, package).rglob("*.py"):
            result |= set(READ.findall(source.read_text()))
    return sorted(result)


def _subclasses(kind: type) -> Iterator[type]:
    classes: list[type] = kind.__subclasses__()
    for subclass in classes:
        yield subclass
        yield from _subclasses(subclass)


class Fuzz:
    """One run, determined by its seed."""

    def __init__(self, url: str, customer: Customer, seed: int) -> None:
        owner = create_customer("owner@example.com", None, is_staff=True, is_superuser=True)
        self._random = random.Random(seed)
        self._visitors = {"customer": Visitor(url, customer), "owner": Visitor(url, owner)}
        self._forms: dict[tuple[str, str, str, tuple[str, ...]], Form] = {}
        self._values = [*VALUES, *DAYS]
        self.failures: dict[str, str] = {}
        self.statuses: Counter[int] = Counter()

    def run(self, seconds: float) -> None:
        """Open every page, try every name at every page once, and continue at random until the time is up."""
        ends_at = time.monotonic() + seconds
        all_addresses, all_names = sorted(set(addresses(get_resolver()))), names()
        for address in all_addresses:
            for role in self._visitors:
                self._request(role, "GET", self._filled(address, is_invalid=False), {})
        rounds = [(address, name) for address in all_addresses for name in all_names]
        self._random.shuffle(rounds)
        while time.monotonic() < ends_at:
            role = self._random.choice(list(self._visitors))
            if self._forms and self._random.random() < 0.5:
                self._send(role, all_names)
                continue
            address, name = (
                rounds.pop() if rounds else (self._random.choice(all_addresses), self._random.choice(all_names))
            )
            fields = {name: self._value()} | {self._random.choice(all_names): self._value() for _ in range(2)}
            is_invalid = self._random.random() < 0.2
            self._request(
                role, self._random.choice(("GET", "GET", "POST")), self._filled(address, is_invalid=is_invalid), fields
            )

    def _send(self, role: str, all_names: list[str]) -> None:
        forms = [form for (owner, *_), form in self._forms.items() if owner == role]
        if not forms:
            return
        form = self._random.choice(forms)
        fields = dict(form.fields)
        for name in self._random.sample(
            sorted(fields) or all_names, k=min(len(fields) or 1, self._random.choice((1, 1, 2)))
        ):
            fields[name] = self._value()
        self._request(role, form.method, form.action, fields)

    def _request(self, role: str, method: str, address: str, fields: dict[str, str]) -> None:
        if urlsplit(address).netloc or method not in {"GET", "POST"}:
            return
        try:
            status, page = self._visitors[role].request(method, address, fields)
        except urllib3.exceptions.HTTPError as error:
            status, page = NO_RESPONSE, repr(error)
        self.statuses[status] += 1
        if status >= 500:
            kind = f"{status} {method} {re.sub(r'[0-9a-f-]{36}|[0-9]+', '…', address)[:80]} {sorted(fields)}"
            self.failures.setdefault(kind, f"as {role}: {fields!r:.600}\n    {page[:300]!r}")
        elif status == 200 and "<form" in page:
            forms = Forms(address)
            forms.feed(page)
            for form in forms.found:
                self._forms.setdefault((role, form.action, form.method, tuple(form.fields)), form)

    def _value(self) -> str:
        if self._random.random() < 0.3:
            return self._random.choice(VALID_VALUES)
        return self._random.choice(self._values)

    def _filled(self, address: str, is_invalid: bool) -> str:
        """Replace each parameter with the key of an existing row, or with any value if `is_invalid`."""

        def put(match: re.Match[str]) -> str:
            value = self._value() if is_invalid else self._key(match[1], address)
            return quote(value.encode("utf-8", "surrogatepass"), safe="")

        return PARAMETER.sub(put, address)

    def _key(self, name: str, address: str) -> str:
        models: dict[str, Any] = {str(model._meta.model_name): model for model in apps.get_models()}
        parts = address.split("/")
        kind = parts[3] if parts[1] == "admin" and len(parts) > 4 else name.removesuffix("_id")
        key = models[kind].objects.values_list("pk", flat=True).first() if kind in models else None
        defaults = {"ticker": "AAPL", "year": "2026", "month": "11"}
        return str(defaults.get(name, "1") if key is None else key)


def fuzz_pages(url: str, customer_id: int, seconds: float, seed: int) -> int:
    """Fuzz the pages of the brokerage at this address; return the number of kinds of failure."""
    customer = Customer.objects.get(pk=customer_id)
    for quantity in (3, 2, 1):
        place_trade(customer.id, "AAPL", Type.BUY, quantity)
    subscriptions.create(customer.id, "https://93.184.216.34/")
    tokens.issue(customer, "a token")
    fuzz = Fuzz(url, customer, seed)
    fuzz.run(seconds)
    summary = ", ".join(f"{count} with status {status}" for status, count in sorted(fuzz.statuses.items()))
    print(f"pages, seed {seed}: {summary}; {len(fuzz.failures)} kinds of failure", flush=True)  # noqa: T201
    for kind, detail in fuzz.failures.items():
        print(f"  {kind}\n    {detail}", flush=True)  # noqa: T201
    return len(fuzz.failures)
