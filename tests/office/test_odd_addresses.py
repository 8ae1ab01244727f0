"""Edge-case numbers, dates and text in every parameter of every back-office address.

Whatever the address, the response is a page, a redirect, a 404 or a 403, and never a server error. Each place gets an
eighth of the values, a different eighth in each. All code that reads a value of a list, and a field of each name, gets
every value.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest
from django.contrib import admin
from django.db.models import Model
from django.test import Client
from django.urls import reverse
from pytest_django.plugin import DjangoDbBlocker

from accounts.customers import create_customer
from accounts.models import Adjustment, Customer
from office import cases
from office.actions import ACTIONS
from office.actions.targets import (
    ADJUSTMENT,
    CASE,
    CORPORATE_ACTION,
    CUSTOMER,
    PROOF,
    PROPOSAL,
    STAFF_MEMBER,
    STAFF_REPORT,
    TRADE,
    WEBHOOK,
    Target,
)
from office.cases import Finding, Kind
from office.models import AuditEntry, Case
from office.roles import Role
from tests import people
from tests.alpaca_api.conftest import Alpaca
from tests.conftest import StandInExchange
from tests.factories import (
    AdjustmentFactory,
    CorporateActionFactory,
    CustomerFactory,
    ProofFactory,
    ProposalFactory,
    StaffReportFactory,
    StockFactory,
)
from tests.fuzz.values import DAYS, VALUES
from tests.lasting import lasting
from tests.office.conftest import signed_in
from trades.models import StaffReport, Trade
from webhooks import subscriptions

pytestmark = pytest.mark.django_db

PAGING = ("q", "after", "columns", "e", "p", "o", "all", "_popup", "_to_field", "_facets", "id", "pk__in")
BY_KEY = ("/admin/trades/trade/", "/admin/accounts/posting/", "/admin/exchange/stock/")  # a uuid, a number, a text


@pytest.fixture(scope="module")
def alice(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[Customer]:
    with lasting(django_db_blocker):
        yield people.alice()


@pytest.fixture(scope="module")
def owner(alice: Customer) -> Client:
    """Return the browser of a member of staff with every role."""
    return signed_in(create_customer("owner@example.com", None, is_staff=True, is_superuser=True))


def parameters() -> Iterator[tuple[str, str, str]]:
    """Yield the address and the name of every parameter of every list, and the code that reads its value."""
    for model, table in admin.site._registry.items():
        address = f"/admin/{model._meta.app_label}/{model._meta.model_name}/"
        yield from ((address, str(item.parameter_name), code_of(item)) for item in table.list_filter)  # type: ignore[union-attr]
        yield from ((address, name, name) for name in (PAGING if address in BY_KEY else ("q", "after")))


def code_of(item: Any) -> str:
    """Return the names of the functions that read the value of a filter."""
    return " ".join(getattr(item, step).__qualname__ for step in ("queryset", "read", "narrow") if hasattr(item, step))


PARAMETERS = list(parameters())
PLACES = {code: [(address, name) for address, name, by in PARAMETERS if by == code] for _, _, code in PARAMETERS}
LISTS = sorted({address for address, *_ in PARAMETERS})
ENDS = ("", "change/", "history/", "delete/")
ACTION_NAMES = list(ACTIONS)
FIELDS = {
    field: [name for name in ACTION_NAMES if field in ACTIONS[name].form.base_fields]
    for action in ACTIONS.values()
    for field in action.form.base_fields
}


def an_eighth(values: Sequence[str], place: int) -> list[str]:
    """Return the values for the n-th place: every eighth."""
    return [value for n, value in enumerate(values) if (n + place) % 8 == 0]


def check_parameter(owner: Client, address: str, name: str, value: str) -> None:
    """Ask a list, and its export, for rows with this value."""
    for path in (address, f"{address}export/"):
        response = owner.get(path, {name: value.encode("utf-8", "surrogatepass")})
        assert response.status_code in {200, 302, 400, 403}, (path, name, value)
        assert response.content or response.status_code == 302, (path, name, value)


@pytest.mark.parametrize("place", range(len(PARAMETERS)), ids=[" ".join(parameter[:2]) for parameter in PARAMETERS])
def test_every_list_parameter_accepts_odd_values(owner: Client, alice: Customer, place: int) -> None:
    address, name, _ = PARAMETERS[place]
    for value in an_eighth([*VALUES, *DAYS] if name == "day" else VALUES, place):
        check_parameter(owner, address, name, value)


@pytest.mark.big
@pytest.mark.parametrize("code", PLACES)
def test_all_code_that_reads_a_list_parameter_accepts_any_value(owner: Client, alice: Customer, code: str) -> None:
    """The parameters that the same code reads share the values."""
    places = PLACES[code]
    for n, value in enumerate([*VALUES, *DAYS] if places[0][1] == "day" else VALUES):
        check_parameter(owner, *places[n % len(places)], value)


@pytest.mark.parametrize("address", LISTS)
def test_every_id_accepts_any_value(owner: Client, alice: Customer, address: str) -> None:
    for n, value in enumerate(VALUES):
        key = value.replace("/", "_2F").replace("\ud800", "_D8")
        end = ENDS[(n + LISTS.index(address)) % len(ENDS)]
        response = owner.get(f"{address}{key}/{end}")
        assert response.status_code in {200, 301, 302, 403, 404}, (address, value, end)


@pytest.mark.parametrize("name", ["find", "search", "controls", "password_change", "login", "logout"])
def test_other_pages_accept_any_value(owner: Client, alice: Customer, name: str) -> None:
    for value in VALUES:
        query = dict.fromkeys(("q", "next", "kind", "day"), value.encode("utf-8", "surrogatepass"))
        assert owner.get(reverse(f"admin:{name}"), query).status_code in {200, 302, 400}, (name, value)


def key_of_target(target: Target[Any], alice: Customer) -> str:
    """Return the end of an action's address, for an existing target of the right kind."""
    row: Model
    if target is STAFF_MEMBER:
        members = Customer.objects.filter(email="member@example.com")
        if not members.update(is_staff=True):
            CustomerFactory.create(email="member@example.com", is_staff=True)
        return f"{members.get().id}/"
    if target is ADJUSTMENT:
        row = AdjustmentFactory.create(customer=alice, asked_by=alice)
    elif target is PROPOSAL:
        row = ProposalFactory.create(asked_by=alice)
    elif target is STAFF_REPORT:
        trade = Trade.objects.get()
        undecided = StaffReport.objects.filter(trade=trade, approved=None)
        row = undecided.first() or StaffReportFactory.create(trade=trade, entered_by=alice)
    elif target is CORPORATE_ACTION:
        row = CorporateActionFactory.create()
    elif target is WEBHOOK:
        row, _ = subscriptions.create(alice.id, "https://hooks.example.com/in", key="the only one")
    elif target is PROOF:
        row = ProofFactory.create()
    elif target in {CUSTOMER, TRADE, CASE}:
        row = {CUSTOMER: alice, TRADE: Trade.objects.get(), CASE: Case.objects.get()}[target]
    else:
        return ""  # a page
    return f"{row.pk}/"


def check_field(owner: Client, alice: Customer, name: str, field: str, value: str) -> None:
    """Do an action with this value in one field."""
    valid = {"reason": "x", "text": "x", "change": "1", "kind": "error", "ticker": "", "price": "", "confirm": "HALT"}
    form = valid | {field: value.replace("\ud800", "\ufffd"), "next": value.replace("\ud800", "\ufffd")}
    target = key_of_target(ACTIONS[name].target, alice)
    response = owner.post(f"/admin/do/{name}/{target}", form)
    assert response.status_code in {302, 422}, (name, field, value)


@pytest.fixture
def _subjects(alice: Customer, exchange: StandInExchange) -> None:
    """Provide what actions are about: a stock and an exception."""
    StockFactory.create()
    cases.open_cases([Finding(Kind.BOOKS, "rule 1", "does not balance", alice.id)])


@pytest.mark.usefixtures("_subjects")
@pytest.mark.parametrize("name", ACTION_NAMES)
def test_every_action_field_accepts_odd_values(owner: Client, alice: Customer, name: str) -> None:
    place = ACTION_NAMES.index(name)
    for position, field in enumerate(ACTIONS[name].form.base_fields):
        for value in an_eighth(VALUES, place + position):
            check_field(owner, alice, name, field, value)
    for value in an_eighth(VALUES, place):
        key = value.replace("/", "_").replace("\ud800", "_") or "-"
        assert owner.get(f"/admin/do/{name}/{key}/").status_code in {200, 404}, (name, value)


@pytest.mark.big
@pytest.mark.usefixtures("_subjects")
@pytest.mark.parametrize("field", FIELDS)
def test_a_field_of_each_name_accepts_any_value(owner: Client, alice: Customer, field: str) -> None:
    """The actions that have a field of this name share the values."""
    names = FIELDS[field]
    for n, value in enumerate(VALUES):
        check_field(owner, alice, names[n % len(names)], field, value)


@pytest.mark.parametrize("price", ["999999999999999.9999", "1e14", "0.00001", "99999999999999999999"])
@pytest.mark.parametrize("change", ["1", "1000000000000", "-1"])
def test_an_adjustment_at_an_absurd_price(
    owner: Client,
    alice: Customer,
    price: str,
    change: str,
    staff: Callable[[Role], Customer],
    api_of: Callable[[Customer], Client],
    exchange: StandInExchange,
) -> None:
    """The adjustment is refused when it is requested or approved, and all pages with the books still work."""
    StockFactory.create()
    form = {"ticker": "AAPL", "change": change, "price": price, "kind": "error", "reason": "x"}
    response = owner.post(f"/admin/do/adjust/{alice.id}/", form)
    assert response.status_code in {302, 422}
    for adjustment in Adjustment.objects.all():
        second = signed_in(staff(Role.OPERATIONS))
        assert second.post(f"/admin/do/approve/{adjustment.id}/").status_code == 302
    her_browser = signed_in(alice)
    for page in ("/", "/cash", "/stocks/AAPL"):
        assert her_browser.get(page, follow=True).status_code == 200, page
    api = api_of(alice)
    for address in ("positions", "positions/AAPL", "balance", "postings", "lots"):
        assert api.get(f"/api/v1/{address}").status_code in {200, 404}, address
    program = Alpaca(alice)
    for address in ("positions", "account", "account/portfolio/history", "account/activities"):
        assert program("GET", address)[0] == 200, address


def test_a_null_byte_in_a_filter_is_in_the_audit_log_without_it(owner: Client, alice: Customer) -> None:
    assert owner.get("/admin/accounts/posting/export/", {"q": "\x00", "customer": str(alice.id)}).status_code == 200
    entry = AuditEntry.objects.filter(action="export").latest("number")
    assert entry.after == {"q": "\ufffd", "customer": str(alice.id)}
