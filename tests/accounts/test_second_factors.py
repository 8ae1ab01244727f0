"""Second factors: encryption of their secrets, and invalid passkeys."""

import json
from io import StringIO
from typing import Any

import pytest
from allauth.mfa.models import Authenticator
from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes
from allauth.mfa.totp.internal.auth import TOTP
from django.core.management import CommandError, call_command
from django.test import Client

from accounts.customers import create_customer
from accounts.models import Customer
from tests.factories import AuthenticatorFactory
from tests.people import totp_code
from tests.races.at_once import together
from web.encryption import decrypt, is_current
from webhooks import subscriptions
from webhooks.models import Webhook

pytestmark = pytest.mark.usefixtures("static_files")
PASSWORD = "copper lantern drifts 41"
SECRET = "JBSWY3DPEHPK3PXP"


@pytest.fixture
def carol(db: None) -> Customer:
    return create_customer("carol@example.com", PASSWORD)


def can_sign_in_with_code(customer: Customer) -> bool:
    client = Client()
    client.post("/account/login/", {"login": customer.email, "password": PASSWORD})
    client.post("/account/second-factor/authenticate/", {"code": totp_code(SECRET)})
    return client.get("/").status_code == 200


def encrypt_secrets() -> str:
    written = StringIO()
    call_command("encrypt_secrets", stdout=written)
    return written.getvalue()


def test_the_database_holds_no_readable_secret(carol: Customer) -> None:
    TOTP.activate(carol, SECRET)
    codes = RecoveryCodes.activate(carol).get_unused_codes()
    kept = json.dumps(list(Authenticator.objects.values_list("data", flat=True)))
    assert SECRET not in kept
    assert can_sign_in_with_code(carol)
    assert RecoveryCodes(Authenticator.objects.get(type="recovery_codes")).get_unused_codes() == codes


def test_a_secret_from_before_encryption_works_and_is_encrypted_by_command(carol: Customer) -> None:
    AuthenticatorFactory.create(user=carol, type=Authenticator.Type.TOTP, data={"secret": SECRET})
    assert can_sign_in_with_code(carol)
    assert "second factors: 1 encrypted" in encrypt_secrets()
    (data,) = Authenticator.objects.values_list("data", flat=True)
    assert decrypt(data["secret"]) == SECRET
    assert "second factors: 0 encrypted" in encrypt_secrets()


def test_a_new_key_takes_over_every_secret(carol: Customer, settings: Any) -> None:
    TOTP.activate(carol, SECRET)
    RecoveryCodes.activate(carol)
    hook = subscriptions.create(carol.id, "https://93.184.216.34/events")[0]
    secret = decrypt(hook.encrypted_secret)
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "another", [settings.SECRET_KEY]
    assert "second factors: 2 encrypted" in (told := encrypt_secrets())
    assert "webhooks: 1 encrypted" in told
    settings.SECRET_KEY_FALLBACKS = []
    kept = Webhook.objects.get(id=hook.id)
    assert is_current(kept.encrypted_secret)
    assert decrypt(kept.encrypted_secret) == secret
    assert can_sign_in_with_code(carol)


def test_a_missing_encryption_key_is_reported(carol: Customer, settings: Any) -> None:
    TOTP.activate(carol, SECRET)
    settings.SECRET_KEY = "another"
    with pytest.raises(CommandError, match="1 secrets can't be read"):
        encrypt_secrets()


@pytest.mark.django_db(transaction=True)
def test_two_commands_at_once_encrypt_each_secret_once() -> None:
    for number in range(20):
        customer = create_customer(f"c{number}@example.com", None)
        AuthenticatorFactory.create(user=customer, type=Authenticator.Type.TOTP, data={"secret": SECRET})
    told = together(encrypt_secrets, encrypt_secrets)
    counts = [int(text.split("second factors: ")[1].split()[0]) for text in told]
    assert sum(counts) == 20
    assert {decrypt(data["secret"]) for data in Authenticator.objects.values_list("data", flat=True)} == {SECRET}


NONSENSE = (
    "", "null", "[]", "{}", '"x"', "1e999", "{", '{"id": "x"}', '{"response": []}', '{"response": {"userHandle": 5}}',
    '{"response": {"userHandle": "MQ"}}', '{"id": "x", "rawId": "x", "type": "public-key", "response": {}}',
    '{"response": {"userHandle": "////"}}', '{"response": {"userHandle": "' + "9" * 400 + '"}}',
)  # fmt: skip


@pytest.mark.parametrize("credential", NONSENSE)
def test_an_invalid_credential_is_refused(carol: Customer, credential: str) -> None:
    client = Client()
    client.get("/account/second-factor/webauthn/login/", headers={"Accept": "application/json"})
    answer = client.post("/account/second-factor/webauthn/login/", {"credential": credential})
    assert (answer.status_code, answer["Location"]) == (302, "/account/login/")
    assert client.get("/").status_code == 302, "nobody is signed in"


@pytest.mark.parametrize("credential", NONSENSE)
def test_an_invalid_new_passkey_is_refused(carol: Customer, credential: str) -> None:
    client = Client()
    client.post("/account/login/", {"login": carol.email, "password": PASSWORD})
    client.post("/account/reauthenticate/", {"password": PASSWORD})
    assert client.get("/account/second-factor/webauthn/add/").status_code == 200
    answer = client.post("/account/second-factor/webauthn/add/", {"name": "x", "credential": credential})
    assert answer.status_code == 200
    assert not Authenticator.objects.exists()
