"""A request that began before access ended must not create anything that outlives the revocation."""

import threading
from collections.abc import Callable
from typing import Any

import pytest
from allauth.mfa.totp.internal.auth import TOTP
from django.core.cache import cache
from django.db import connection, transaction
from django.test import Client

from accounts import api, tokens
from accounts.access_lock import AccessEnded
from accounts.customers import create_customer
from accounts.deactivation import deactivate
from accounts.models import Customer, Posting, Token
from accounts.revocation import Cause, revoke_access
from tests.accounts.test_revocation import NEW_PASSWORD, PASSWORD, TRIGGERS, browser_of, mailed_code, reset_password
from tests.people import totp_code
from tests.responses import assert_problem
from trades.models import Trade
from web import rate_limits
from webhooks import subscriptions
from webhooks.models import Webhook

pytestmark = [pytest.mark.usefixtures("static_files"), pytest.mark.django_db(transaction=True)]

URL = "https://93.184.216.34/brokerage"
SECRET = "JBSWY3DPEHPK3PXP"


@pytest.fixture
def carol(db: None) -> Customer:
    cache.clear()
    rate_limits.reset()
    return create_customer("carol@example.com", PASSWORD)


def create_token(customer: Customer) -> None:
    tokens.issue(customer, "robot")


def create_webhook(customer: Customer) -> None:
    subscriptions.create(customer.id, URL, signed_in=customer)


@pytest.mark.parametrize("create", [create_token, create_webhook])
@pytest.mark.parametrize(
    "cause", [Cause.PASSWORD_RESET, Cause.PASSWORD_CHANGED, Cause.EMAIL_CHANGED, Cause.DEACTIVATED, Cause.CLOSED]
)
def test_nothing_is_created_once_the_access_has_ended(
    carol: Customer, cause: Cause, create: Callable[[Customer], None]
) -> None:
    customer_as_read = Customer.objects.get(pk=carol.pk)  # as the request read the customer when it began
    TRIGGERS[cause](carol, browser_of(carol))
    with pytest.raises(AccessEnded):
        create(customer_as_read)
    assert not Token.objects.exists()
    assert not Webhook.objects.exclude(status=Webhook.Status.ENDED).exists()


@pytest.mark.parametrize("create", [create_token, create_webhook])
def test_creating_waits_for_a_revocation_that_has_begun(carol: Customer, create: Callable[[Customer], None]) -> None:
    outcome: list[str] = []

    def run() -> None:
        try:
            create(customer_as_read)
            outcome.append("created")
        except AccessEnded:
            outcome.append("refused")
        finally:
            connection.close()

    customer_as_read = Customer.objects.get(pk=carol.pk)
    thread = threading.Thread(target=run)
    with transaction.atomic():
        carol.set_password(NEW_PASSWORD)
        carol.save()
        revoke_access(carol, Cause.PASSWORD_RESET)
        thread.start()
        thread.join(0.5)
        assert thread.is_alive(), "it waits for the other transaction"
    thread.join(20)
    assert outcome == ["refused"]


def test_a_revocation_ends_a_token_that_is_being_created(carol: Customer) -> None:
    def revoke() -> None:
        try:
            with transaction.atomic():
                revoke_access(carol, Cause.TOKENS_ENDED)
        finally:
            connection.close()

    thread = threading.Thread(target=revoke)
    with transaction.atomic():
        issued = _issue_in_open_transaction(carol)
        thread.start()
        thread.join(0.5)
        assert thread.is_alive(), "it waits for the other transaction"
    thread.join(20)
    assert tokens.find(issued.token) is None


def _issue_in_open_transaction(customer: Customer) -> tokens.Issued:
    """Issue a token in the open transaction, as if the process stopped right before the commit."""
    block: Any = connection.atomic_blocks[-1]
    block._from_testcase = True  # allows a verb's own transaction inside
    return tokens.issue(customer, "robot")


def test_a_password_that_is_replaced_while_it_is_checked_gives_no_token(
    carol: Customer, monkeypatch: pytest.MonkeyPatch
) -> None:
    checked = api.authenticate

    def check_then_reset(*arguments: Any, **credentials: Any) -> Any:
        customer = checked(*arguments, **credentials)
        reset_password(carol, Client())
        return customer

    monkeypatch.setattr(api, "authenticate", check_then_reset)
    for headers in ({}, {"Idempotency-Key": "robot"}):
        body = {"email": carol.email, "password": PASSWORD, "name": "robot"}
        response = Client().post("/api/v1/tokens", body, content_type="application/json", headers=headers)
        assert_problem(response, 401, "authentication_failed")
        assert not Token.objects.exists()
        cache.clear()  # the limit on mailed codes
        carol.set_password(PASSWORD)
        carol.save()


def test_a_webhook_of_a_token_that_was_revoked_meanwhile_is_refused(carol: Customer) -> None:
    grant = tokens.issue(carol, "robot").grant
    page_webhook, _ = subscriptions.create(carol.id, URL)
    assert tokens.end(carol.id, grant.id)
    assert not tokens.end(carol.id, grant.id)
    with pytest.raises(AccessEnded):
        subscriptions.create(carol.id, URL, token_id=grant.id)
    with pytest.raises(AccessEnded):
        subscriptions.change(page_webhook, f"{URL}/moved", token_id=grant.id)
    assert Webhook.objects.get().url == URL


@pytest.mark.parametrize("cause", ["password", "deactivated"])
def test_a_sign_in_that_waits_for_its_second_step_ends_too(carol: Customer, cause: str) -> None:
    TOTP.activate(carol, SECRET)
    intruder = browser_of(carol)
    assert intruder.get("/").status_code == 302, "the second step is missing"
    if cause == "password":
        reset_password(carol, Client())
    else:
        deactivate(carol)
    intruder.post("/account/second-factor/authenticate/", {"code": totp_code(SECRET)})
    assert intruder.get("/").status_code == 302
    assert "_auth_user_id" not in intruder.session


def test_changing_the_password_ends_a_password_reset_in_progress(carol: Customer) -> None:
    """An intruder who once read the owner's mail must not take the account after the owner has secured it."""
    intruder = Client()
    to_code = intruder.post("/account/password/reset/", {"email": carol.email}).headers["Location"]
    to_password = intruder.post(to_code, {"code": mailed_code()}).headers["Location"]
    TRIGGERS[Cause.PASSWORD_CHANGED](carol, browser_of(carol))
    password = "golden meadow turns 53"
    response = intruder.post(to_password, {"password1": password, "password2": password})
    assert response.status_code == 200
    assert "changed in the meantime" in response.content.decode()
    carol.refresh_from_db()
    assert carol.check_password(NEW_PASSWORD)


def test_signing_up_with_anothers_address_gives_no_access_before_or_after_its_owner_claims_it(db: None) -> None:
    cache.clear()
    intruder, address = Client(), "owner@example.com"
    sign_up = {"email": address, "name": "Not the owner", "password1": PASSWORD}
    assert intruder.post("/account/signup/", sign_up).status_code == 302

    def assert_has_no_access() -> None:
        for path in ("/", "/cash", "/account/tokens", "/account/webhooks", "/stocks/AAPL/trade"):
            response = intruder.get(path, follow=True)
            assert response.redirect_chain, path
        for path, form in [
            ("/cash/deposit", {"amount": "100.00", "key": "k"}),
            ("/stocks/AAPL/place", {"type": "BUY", "quantity": "1", "key": "k"}),
            ("/account/tokens", {"name": "robot", "scopes": ["read"]}),
            ("/account/webhooks", {"url": URL}),
        ]:
            assert intruder.post(path, form).status_code == 302, path
        body = {"email": address, "password": PASSWORD, "name": "robot"}
        assert Client().post("/api/v1/tokens", body, content_type="application/json").status_code in {401, 403}
        assert not Trade.objects.exists()
        assert not Posting.objects.exists()
        assert not Token.objects.exists()
        assert not Webhook.objects.exists()

    assert_has_no_access()
    owner = Client()
    to_code = owner.post("/account/password/reset/", {"email": address}).headers["Location"]
    to_password = owner.post(to_code, {"code": mailed_code()}).headers["Location"]
    owner.post(to_password, {"password1": NEW_PASSWORD, "password2": NEW_PASSWORD})
    assert owner.post("/account/login/", {"login": address, "password": NEW_PASSWORD}).status_code == 302
    assert owner.get("/cash").status_code == 200
    intruder.get("/account/confirm-email/")
    intruder.post("/account/login/", {"login": address, "password": PASSWORD})
    assert_has_no_access()
