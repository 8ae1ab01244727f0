"""Create a token with an idempotency key. If the response gets lost, the same request shows the same secrets again.

The secrets of other tokens are random. Those of a token with a key are derived from our SECRET_KEY, the idempotency
key, the customer's password, and the token's id. So they can be shown again when the request is repeated, although, as
with every token, only their hashes are stored.
"""

import json
from base64 import urlsafe_b64encode
from datetime import datetime
from uuid import UUID

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings
from django.db import IntegrityError
from uuid_utils.compat import uuid7

from accounts import tokens
from accounts.models import Customer, Token
from accounts.tokens import Issued, Secrets


class TokenKeyReused(Exception):
    """The customer used this idempotency key before, for a token with different terms."""


def issue_once(
    customer: Customer,
    key: str,
    password: str,
    name: str,
    scopes: list[str],
    expires_at: datetime | None,
    allowed_addresses: list[str],
) -> tuple[Issued, bool]:
    """Create a token for this customer, or return the one that the same request created earlier.

    Idempotent: yes, until the token is deleted. Then its key is free again.

    Args:
        customer: The customer.
        key: The idempotency key.
        password: The customer's password, which the caller has checked.
        name, scopes, expires_at, allowed_addresses: As for `tokens.issue`.

    Returns:
        The token with its secrets, and whether an earlier request created it.

    Raises:
        TokenKeyReused: The key belongs to a token with different terms, or the password has changed since.
        AccessEnded, TooManyTokens: As for `tokens.issue`.
    """
    terms = (name, scopes, expires_at, allowed_addresses)
    while True:
        before = Token.objects.filter(customer=customer, idempotency_key=key).first()
        if before is not None:
            if (before.name, before.scopes, before.expires_at, before.allowed_addresses or []) != terms:
                raise TokenKeyReused
            return _derive_again(before, key, password), True
        new_id = uuid7()
        secrets = _secrets(settings.SECRET_KEY, new_id, key, password)
        try:
            return tokens.issue(customer, *terms, secrets=secrets, id=new_id, idempotency_key=key), False
        except IntegrityError:  # another request used the key at the same moment: look again
            continue


def _derive_again(grant: Token, key: str, password: str) -> Issued:
    for server_key in (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS):
        secrets = _secrets(server_key, grant.id, key, password)
        if tokens.matches(grant, secrets):
            return Issued(grant, *secrets)
    raise TokenKeyReused


def _secrets(server_key: str, token_id: UUID, key: str, password: str) -> Secrets:
    source = json.dumps([server_key, key, password]).encode()
    derived = HKDF(SHA256(), length=73, salt=token_id.bytes, info=b"secrets of a token").derive(source)
    return tokens.secrets_of(_text(derived[:32]), derived[32:41].hex(), _text(derived[41:]))


def _text(secret: bytes) -> str:
    return urlsafe_b64encode(secret).rstrip(b"=").decode()
