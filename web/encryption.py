"""Encryption of secrets that we must be able to read back, such as those that sign webhooks.

The keys are derived from SECRET_KEY and, during a key rotation, from SECRET_KEY_FALLBACKS. A copy of the database
alone does not reveal the secrets.
"""

import base64
from functools import cache

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings

FERNET_PREFIX = "gAAAAA"  # of every Fernet token: the version and the high bytes of the timestamp


class Undecryptable(Exception):
    """The text was encrypted with a key that we don't have, or it isn't encrypted text at all."""


def encrypt(text: str) -> str:
    """Encrypt a text with the newest key."""
    return _fernet(settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS).encrypt(text.encode()).decode()


def decrypt(encrypted: str) -> str:
    """Decrypt a text with whichever of our keys encrypted it.

    Raises:
        Undecryptable: None of our keys decrypts it.
    """
    try:
        fernet = _fernet(settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS)
        return fernet.decrypt(encrypted.encode()).decode()
    except InvalidToken:
        raise Undecryptable from None


def is_encrypted(text: str) -> bool:
    """Return whether a text looks like the result of `encrypt`, with any key."""
    return text.startswith(FERNET_PREFIX)


def is_current(encrypted: str) -> bool:
    """Return whether the text is encrypted with the newest key."""
    try:
        _fernet(settings.SECRET_KEY).decrypt(encrypted.encode())
    except InvalidToken:
        return False
    return True


@cache
def _fernet(*keys: str) -> MultiFernet:
    return MultiFernet([Fernet(base64.urlsafe_b64encode(_derived(key))) for key in keys])


def _derived(key: str) -> bytes:
    # A separate key for this purpose, so that other uses of SECRET_KEY reveal nothing about it.
    return HKDF(SHA256(), length=32, salt=None, info=b"brokerage encryption").derive(key.encode())
