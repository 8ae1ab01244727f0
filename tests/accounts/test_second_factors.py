"""Second factors: encryption of their secrets, and invalid passkeys."""

import json
from collections.abc import Callable, Iterator
from io import StringIO
from typing import Any

import pytest
import time_machine
from allauth.mfa.models import Authenticator
from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes
from allauth.mfa.totp.internal.auth import TOTP
from django.core.cache import cache
from django.core.management import CommandError, call_command
from django.test import Client

from accounts.customers import create_customer
from accounts.models import Customer, SignIn
from accounts.one_time_codes import OF_A_CUSTOMER, OF_A_MAIL
from tests.factories import AuthenticatorFactory
from tests.people import totp_code
from tests.races.concurrency import together
from web import rate_limits
from web.encryption import decrypt, is_current
from webhooks import subscriptions
from webhooks.models import Webhook

pytestmark = pytest.mark.usefixtures("static_files")
PASSWORD = "copper lantern drifts 41"
SECRET = "JBSWY3DPEHPK3PXP"


@pytest.fixture
def carol(db: None) -> Customer:
    return create_customer("carol@example.com", PASSWORD)


def browser_after_password(customer: Customer) -> Client:
    client = Client()
    client.post("/account/login/", {"login": customer.email, "password": PASSWORD})
    return client


def can_sign_in_with_code(customer: Customer, code: str | None = None) -> bool:
    client = browser_after_password(customer)
    client.post("/account/second-factor/authenticate/", {"code": code or totp_code(SECRET)})
    return client.get("/").status_code == 200


def encrypt_secrets() -> str:
    output = StringIO()
    call_command("encrypt_secrets", stdout=output)
    return output.getvalue()


def test_the_database_holds_no_readable_secret(carol: Customer) -> None:
    TOTP.activate(carol, SECRET)
    codes = RecoveryCodes.activate(carol).get_unused_codes()
    stored = json.dumps(list(Authenticator.objects.values_list("data", flat=True)))
    assert SECRET not in stored
    assert can_sign_in_with_code(carol)
    assert RecoveryCodes(Authenticator.objects.get(type="recovery_codes")).get_unused_codes() == codes


def test_a_secret_from_before_encryption_works_and_is_encrypted_by_command(carol: Customer) -> None:
    AuthenticatorFactory.create(user=carol, type=Authenticator.Type.TOTP, data={"secret": SECRET})
    assert can_sign_in_with_code(carol)
    assert "second factors: 1 encrypted" in encrypt_secrets()
    (data,) = Authenticator.objects.values_list("data", flat=True)
    assert decrypt(data["secret"]) == SECRET
    assert "second factors: 0 encrypted" in encrypt_secrets()


def test_a_new_key_encrypts_every_secret_again(carol: Customer, settings: Any) -> None:
    TOTP.activate(carol, SECRET)
    RecoveryCodes.activate(carol)
    old_webhook = subscriptions.create(carol.id, "https://93.184.216.34/events")[0]
    secret = decrypt(old_webhook.encrypted_secret)
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "another", [settings.SECRET_KEY]
    assert "second factors: 2 encrypted" in (output := encrypt_secrets())
    assert "webhooks: 1 encrypted" in output
    settings.SECRET_KEY_FALLBACKS = []
    webhook = Webhook.objects.get(id=old_webhook.id)
    assert is_current(webhook.encrypted_secret)
    assert decrypt(webhook.encrypted_secret) == secret
    assert can_sign_in_with_code(carol)


def test_a_missing_encryption_key_is_reported(carol: Customer, settings: Any) -> None:
    TOTP.activate(carol, SECRET)
    settings.SECRET_KEY = "another"
    with pytest.raises(CommandError, match="1 secrets can't be read"):
        encrypt_secrets()


@pytest.mark.django_db(transaction=True)
def test_simultaneous_commands_encrypt_each_secret_once() -> None:
    for number in range(20):
        customer = create_customer(f"c{number}@example.com", None)
        AuthenticatorFactory.create(user=customer, type=Authenticator.Type.TOTP, data={"secret": SECRET})
    outputs = together(encrypt_secrets, encrypt_secrets)
    counts = [int(output.split("second factors: ")[1].split()[0]) for output in outputs]
    assert sum(counts) == 20
    assert {decrypt(data["secret"]) for data in Authenticator.objects.values_list("data", flat=True)} == {SECRET}


INVALID_CREDENTIALS = (
    "", "null", "[]", "{}", '"x"', "1e999", "{", '{"id": "x"}', '{"response": []}', '{"response": {"userHandle": 5}}',
    '{"response": {"userHandle": "MQ"}}', '{"id": "x", "rawId": "x", "type": "public-key", "response": {}}',
    '{"response": {"userHandle": "////"}}', '{"response": {"userHandle": "' + "9" * 400 + '"}}',
)  # fmt: skip


@pytest.mark.parametrize("credential", INVALID_CREDENTIALS)
def test_an_invalid_credential_is_refused(carol: Customer, credential: str) -> None:
    client = Client()
    client.get("/account/second-factor/webauthn/login/", headers={"Accept": "application/json"})
    response = client.post("/account/second-factor/webauthn/login/", {"credential": credential})
    assert (response.status_code, response["Location"]) == (302, "/account/login/")
    assert client.get("/").status_code == 302, "nobody is signed in"


@pytest.mark.parametrize("credential", INVALID_CREDENTIALS)
def test_an_invalid_new_passkey_is_refused(carol: Customer, credential: str) -> None:
    client = Client()
    client.post("/account/login/", {"login": carol.email, "password": PASSWORD})
    client.post("/account/reauthenticate/", {"password": PASSWORD})
    assert client.get("/account/second-factor/webauthn/add/").status_code == 200
    response = client.post("/account/second-factor/webauthn/add/", {"name": "x", "credential": credential})
    assert response.status_code == 200
    assert not Authenticator.objects.exists()


NOON = 1_930_564_800  # 2031-03-06, the beginning of a time step


@pytest.fixture
def set_clock() -> Iterator[Callable[[int], None]]:
    """Provide a function that sets the clock to this many seconds after noon and clears the caches."""
    with time_machine.travel(NOON, tick=False) as clock:

        def move(seconds: int) -> None:
            clock.move_to(NOON + seconds)
            cache.clear()
            rate_limits.reset()

        move(0)
        yield move


@pytest.mark.parametrize("seconds", [0, 31, 59])
def test_a_code_signs_in_once(carol: Customer, set_clock: Callable[[int], None], seconds: int) -> None:
    """The code of the next step, from a phone whose clock is ahead, is valid for a minute and a half."""
    TOTP.activate(carol, SECRET)
    current, early = totp_code(SECRET), totp_code(SECRET, steps_ahead=1)
    assert can_sign_in_with_code(carol, early)
    set_clock(seconds)
    assert not can_sign_in_with_code(carol, early)
    assert not can_sign_in_with_code(carol, current), "an earlier code doesn't count either"
    set_clock(61)
    assert can_sign_in_with_code(carol, totp_code(SECRET))
    assert [row.kind for row in SignIn.objects.order_by("id")] == ["in", "wrong_code", "wrong_code", "in"]


def test_a_code_used_for_signing_in_cannot_be_used_again(carol: Customer, set_clock: Callable[[int], None]) -> None:
    TOTP.activate(carol, SECRET)
    client = browser_after_password(carol)
    early = totp_code(SECRET, steps_ahead=1)
    client.post("/account/second-factor/authenticate/", {"code": early})
    set_clock(35)
    for code, is_taken in ((early, False), (totp_code(SECRET, steps_ahead=1), True)):
        response = client.post("/account/second-factor/reauthenticate/", {"code": code})
        assert (response.status_code == 302) is is_taken


def test_the_code_that_activated_an_app_does_not_sign_in(carol: Customer, set_clock: Callable[[int], None]) -> None:
    client = browser_after_password(carol)
    client.post("/account/reauthenticate/", {"password": PASSWORD})
    client.get("/account/second-factor/totp/activate/")
    secret = client.session["mfa.totp.secret"]
    code = totp_code(secret)
    client.post("/account/second-factor/totp/activate/", {"code": code})
    assert Authenticator.objects.filter(user=carol, type=Authenticator.Type.TOTP).exists()
    set_clock(20)
    assert not can_sign_in_with_code(carol, code)
    assert can_sign_in_with_code(carol, totp_code(secret, steps_ahead=1))


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("kind", [Authenticator.Type.TOTP, Authenticator.Type.RECOVERY_CODES])
def test_a_code_sent_many_times_simultaneously_signs_in_once(kind: str) -> None:
    carol = create_customer("carol@example.com", PASSWORD)
    TOTP.activate(carol, SECRET)
    recovery = RecoveryCodes.activate(carol).get_unused_codes()[0]
    clients = [browser_after_password(carol) for _ in range(6)]
    cache.clear()
    code = totp_code(SECRET) if kind == Authenticator.Type.TOTP else recovery

    def sign_in(client: Client) -> bool:
        client.post("/account/second-factor/authenticate/", {"code": code})
        return bool(client.get("/").status_code == 200)

    assert sum(together(*(lambda client=client: sign_in(client) for client in clients))) == 1  # type: ignore[misc]


@pytest.mark.django_db(transaction=True)
def test_few_codes_can_be_guessed_even_simultaneously_and_without_the_cache(settings: Any) -> None:
    carol = create_customer("carol@example.com", PASSWORD)
    TOTP.activate(carol, SECRET)
    clients = [browser_after_password(carol) for _ in range(9)]
    cache.clear()
    settings.CACHES = {"default": {"BACKEND": "django.core.cache.backends.dummy.DummyCache"}}
    rate_limits.reset()

    def guess(client: Client) -> None:
        for _ in range(4):
            client.post("/account/second-factor/authenticate/", {"code": "000000"})

    together(*(lambda client=client: guess(client) for client in clients))  # type: ignore[misc]
    assert SignIn.objects.filter(kind=SignIn.Kind.WRONG_CODE).count() == OF_A_CUSTOMER.attempts_max
    assert not can_sign_in_with_code(carol), "even the right code is refused for a while"


@pytest.mark.django_db(transaction=True)
def test_few_mailed_codes_can_be_guessed_even_simultaneously() -> None:
    create_customer("carol@example.com", PASSWORD)
    client = Client()
    client.post("/account/password/reset/", {"email": "carol@example.com"})
    responses: list[str] = []

    def guess() -> None:
        same_session = Client()
        same_session.cookies = client.cookies
        response = same_session.post("/account/password/reset/confirm/", {"code": "WRONG-1"}, follow=True)
        responses.append(response.content.decode())

    together(*([guess] * 12))
    assert 1 <= sum("Incorrect code" in response for response in responses) <= OF_A_MAIL.attempts_max
    assert len(responses) == 12
