"""Fuzzing of the pages and the back office: no request may cause a server error.

The addresses are those of the resolver. The names are those of every form on the pages that are seen, of every form
class, of every filter, and whatever else the source reads of a query. Each is tried once at every address, and then
at random, with values at their edges; as a customer with a history, and as somebody with every power of the back
office. Whoever is signed out by what was sent is signed in again.
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
from tests.fuzz.values import DAYS, GOOD, VALUES
from tests.office.conftest import signed_in
from trades.models import Type
from trades.place import place_trade
from webhooks import subscriptions

PACKAGES = ("accounts", "brokerage", "office", "trades", "web", "webhooks")
READ = re.compile(r"""(?:GET|POST)(?:\.get(?:list)?\(|\[)["'](\w+)""")
PARAMETER = re.compile(r"<(?:\w+:)?(\w+)>")
OTHERS_ADDRESSES = ("/api/v1/", "/alpaca/", "/exchange/", "/api/schema/")  # fuzzed by their schema, or the exchange's
CSRF = "x" * 32
SECONDS_MAX = 20.0  # for one answer
NO_ANSWER = 599  # in place of a status
TOKEN_FIELD = "csrfmiddlewaretoken"


@dataclass
class Form:
    """A form of a page, with what its fields hold."""

    action: str
    method: str
    fields: dict[str, str] = field(default_factory=dict)


class Forms(HTMLParser):
    """The forms of a page, and its links with a query, which are forms too."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self._page, self._open = page, Form(page, "GET")
        self.found: list[Form] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag == "form":
            self._open = Form(urljoin(self._page, given.get("action", "")), given.get("method", "get").upper())
            self.found.append(self._open)
        elif tag in {"input", "select", "textarea", "button"} and given.get("name", TOKEN_FIELD) != TOKEN_FIELD:
            self._open.fields.setdefault(given["name"], given.get("value", "") or "1")
        elif tag == "option" and self._open.fields and "selected" in given:
            self._open.fields[next(reversed(self._open.fields))] = given.get("value", "")
        elif tag == "a" and "?" in (href := urljoin(self._page, given.get("href", ""))):
            parts = urlsplit(href)
            if not parts.netloc:
                self.found.append(Form(parts.path, "GET", dict(parse_qsl(parts.query))))


class Visitor:
    """A browser that stays signed in."""

    def __init__(self, url: str, customer: Customer) -> None:
        self._pool = urllib3.connection_from_url(url, retries=False, timeout=SECONDS_MAX)
        self._customer = customer
        self._was = Customer.objects.filter(pk=customer.pk).values().get()
        self._sign_in()

    def ask(self, method: str, address: str, sent: dict[str, str]) -> tuple[int, str]:
        """Send a form, or ask for a page; return the status and the page."""
        content = urlencode({name: value.encode("utf-8", "surrogatepass") for name, value in sent.items()})
        headers = {"Cookie": f"sessionid={self._session}; csrftoken={CSRF}", "X-CSRFToken": CSRF}
        target, body = address, None
        if method == "POST":
            body, headers["Content-Type"] = content, "application/x-www-form-urlencoded"
        elif content:
            target = f"{address}?{content}"
        answer = self._pool.request(method, target, body=body, headers=headers, redirect=False)
        if "/login/" in answer.headers.get("Location", ""):
            self._sign_in()
        return answer.status, answer.data.decode(errors="replace")

    def _sign_in(self) -> None:
        kept = {name: self._was[name] for name in ("email", "password", "is_active", "is_staff", "is_superuser")}
        Customer.objects.filter(pk=self._customer.pk).update(**kept)
        self._customer.refresh_from_db()
        client = signed_in(self._customer) if self._customer.is_staff else Client()
        if not self._customer.is_staff:
            client.force_login(self._customer, "allauth.account.auth_backends.AuthenticationBackend")
        self._session = client.cookies[settings.SESSION_COOKIE_NAME].value


def addresses(resolver: URLResolver, so_far: str = "/") -> Iterator[str]:
    """Every address of pages, with its parameters in angle brackets."""
    for pattern in resolver.url_patterns:
        path = so_far + str(pattern.pattern)
        if isinstance(pattern, URLResolver):
            yield from addresses(pattern, path)
        elif isinstance(pattern, URLPattern) and not path.startswith(OTHERS_ADDRESSES) and not set("^$") & set(path):
            yield path


def names() -> list[str]:
    """Every name that a form, a filter or the source knows of."""
    assert get_resolver().url_patterns  # which loads every module that has a form
    found = {name for kind in _below(BaseForm) for name in getattr(kind, "base_fields", {})}
    filters: list[Any] = [item for table in admin.site._registry.values() for item in table.list_filter]
    found |= {item.parameter_name for item in filters if hasattr(item, "parameter_name")}
    for package in PACKAGES:
        for source in Path(settings.BASE_DIR, package).rglob("*.py"):
            found |= set(READ.findall(source.read_text()))
    return sorted(found)


def _below(kind: type) -> Iterator[type]:
    classes: list[type] = kind.__subclasses__()
    for each in classes:
        yield each
        yield from _below(each)


class Fuzz:
    """One run, which its seed determines."""

    def __init__(self, url: str, customer: Customer, seed: int) -> None:
        owner = create_customer("owner@example.com", None, is_staff=True, is_superuser=True)
        self._random = random.Random(seed)
        self._visitors = {"customer": Visitor(url, customer), "owner": Visitor(url, owner)}
        self._forms: dict[tuple[str, str, str, tuple[str, ...]], Form] = {}
        self._values = [*VALUES, *DAYS]
        self.failures: dict[str, str] = {}
        self.statuses: Counter[int] = Counter()

    def run(self, seconds: float) -> None:
        """Look at every page, try every name at every page once, and go on at random until the time is over."""
        ends_at = time.monotonic() + seconds
        everywhere, known = sorted(set(addresses(get_resolver()))), names()
        for address in everywhere:
            for who in self._visitors:
                self._ask(who, "GET", self._filled(address, odd=False), {})
        rounds = [(address, name) for address in everywhere for name in known]
        self._random.shuffle(rounds)
        while time.monotonic() < ends_at:
            who = self._random.choice(list(self._visitors))
            if self._forms and self._random.random() < 0.5:
                self._send(who, known)
                continue
            address, name = rounds.pop() if rounds else (self._random.choice(everywhere), self._random.choice(known))
            sent = {name: self._value()} | {self._random.choice(known): self._value() for _ in range(2)}
            odd = self._random.random() < 0.2
            self._ask(who, self._random.choice(("GET", "GET", "POST")), self._filled(address, odd=odd), sent)

    def _send(self, who: str, known: list[str]) -> None:
        mine = [form for (whose, *_), form in self._forms.items() if whose == who]
        if not mine:
            return
        form = self._random.choice(mine)
        sent = dict(form.fields)
        for name in self._random.sample(sorted(sent) or known, k=min(len(sent) or 1, self._random.choice((1, 1, 2)))):
            sent[name] = self._value()
        self._ask(who, form.method, form.action, sent)

    def _ask(self, who: str, method: str, address: str, sent: dict[str, str]) -> None:
        if urlsplit(address).netloc or method not in {"GET", "POST"}:
            return
        try:
            status, page = self._visitors[who].ask(method, address, sent)
        except urllib3.exceptions.HTTPError as error:
            status, page = NO_ANSWER, repr(error)
        self.statuses[status] += 1
        if status >= 500:
            kind = f"{status} {method} {re.sub(r'[0-9a-f-]{36}|[0-9]+', '…', address)[:80]} {sorted(sent)}"
            self.failures.setdefault(kind, f"as {who}: {sent!r:.600}\n    {page[:300]!r}")
        elif status == 200 and "<form" in page:
            forms = Forms(address)
            forms.feed(page)
            for form in forms.found:
                self._forms.setdefault((who, form.action, form.method, tuple(form.fields)), form)

    def _value(self) -> str:
        if self._random.random() < 0.3:
            return self._random.choice(GOOD)
        return self._random.choice(self._values)

    def _filled(self, address: str, odd: bool) -> str:
        """Put something in the place of each parameter: of a row that there is, or anything."""

        def put(match: re.Match[str]) -> str:
            value = self._value() if odd else self._key(match[1], address)
            return quote(value.encode("utf-8", "surrogatepass"), safe="")

        return PARAMETER.sub(put, address)

    def _key(self, name: str, address: str) -> str:
        models: dict[str, Any] = {str(model._meta.model_name): model for model in apps.get_models()}
        parts = address.split("/")
        kind = parts[3] if parts[1] == "admin" and len(parts) > 4 else name.removesuffix("_id")
        key = models[kind].objects.values_list("pk", flat=True).first() if kind in models else None
        known = {"ticker": "AAPL", "year": "2026", "month": "11"}
        return str(known.get(name, "1") if key is None else key)


def fuzz_pages(url: str, customer_id: int, seconds: float, seed: int) -> int:
    """Fuzz the pages of what runs at this address; return how many kinds of failure there were."""
    customer = Customer.objects.get(pk=customer_id)
    for quantity in (3, 2, 1):
        place_trade(customer.id, "AAPL", Type.BUY, quantity)
    subscriptions.create(customer.id, "https://93.184.216.34/")
    tokens.issue(customer, "a token")
    fuzz = Fuzz(url, customer, seed)
    fuzz.run(seconds)
    told = ", ".join(f"{count} answered {status}" for status, count in sorted(fuzz.statuses.items()))
    print(f"pages, seed {seed}: {told}; {len(fuzz.failures)} kinds of failure", flush=True)  # noqa: T201
    for kind, detail in fuzz.failures.items():
        print(f"  {kind}\n    {detail}", flush=True)  # noqa: T201
    return len(fuzz.failures)
