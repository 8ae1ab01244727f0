"""Staff of every role, and their browsers."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from allauth.account.internal.flows.login import record_authentication
from django.http import HttpRequest
from django.test import Client

from accounts.models import Customer
from office.roles import Role, appoint
from trades import checks


@pytest.fixture(autouse=True)
def _static_files_as_they_are(settings: Any) -> None:
    """Let pages refer to static files without the manifest that `make run` creates."""
    plain = {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}
    settings.STORAGES = settings.STORAGES | {"staticfiles": plain}


@pytest.fixture(autouse=True)
def _no_cached_controls() -> Iterator[None]:
    checks.forget()
    yield
    checks.forget()


@pytest.fixture(autouse=True)
def _no_waiting_for_lanes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shorten the sweep's wait for the lanes' workers to respond, because none are running."""
    monkeypatch.setattr("office.heartbeat.PING_SECONDS", 0.02)


def signed_in(staff: Customer, *, second_factor: bool = True) -> Client:
    """Return a browser in which this member of staff has signed in, with the session that allauth creates."""
    client = Client(REMOTE_ADDR="192.0.2.7")
    client.force_login(staff)
    request = HttpRequest()
    request.session, request.user = client.session, staff
    record_authentication(request, staff, "password", email=staff.email)
    if second_factor:
        record_authentication(request, staff, "mfa", type="totp")
    request.session.save()
    return client


@pytest.fixture
def staff(db: None) -> Callable[[Role], Customer]:
    """Return a function that appoints the member of staff of a role, once: `staff(Role.SUPPORT)`."""
    return lambda role: appoint(f"{role.value}@staff.example.com", role)


@pytest.fixture
def browser_of(staff: Callable[[Role], Customer]) -> Callable[[Role], Client]:
    """Return a function that returns the signed-in browser of a role."""
    return lambda role: signed_in(staff(role))
