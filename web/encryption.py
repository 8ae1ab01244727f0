"""Encryption of secrets that we must be able to read again, such as those that sign webhooks.

The keys come from SECRET_KEY and, while one replaces another, from SECRET_KEY_FALLBACKS. A copy of the database alone
tells nothing.
"""

import base64
from functools import cache

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings

FERNET = "gAAAAA"  # how every token begins: its version, and the high bytes of its time


class Undecryptable(Exception):
    """The text was encrypted with a key that is not among ours, or is no encrypted text."""


def encrypt(text: str) -> str:
    """Encrypt a text with the newest key."""
    return _fernet(settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS).encrypt(text.encode()).decode()


def decrypt(encrypted: str) -> str:
    """Decrypt a text with whichever of our keys encrypted it.

    Raises:
        Undecryptable: None of them did.
    """
    try:
        fernet = _fernet(settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS)
        return fernet.decrypt(encrypted.encode()).decode()
    except InvalidToken:
        raise Undecryptable from None


def is_encrypted(text: str) -> bool:
    """Return whether a text is one that `encrypt` made, with whatever key."""
    return text.startswith(FERNET)


def is_current(encrypted: str) -> bool:
    """Return whether the newest key encrypted the text."""
    try:
        _fernet(settings.SECRET_KEY).decrypt(encrypted.encode())
    except InvalidToken:
        return False
    return True


@cache
def _fernet(*keys: str) -> MultiFernet:
    return MultiFernet([Fernet(base64.urlsafe_b64encode(_derived(key))) for key in keys])


def _derived(key: str) -> bytes:
    # A key of its own for this purpose: what else SECRET_KEY signs tells nothing about it.
    return HKDF(SHA256(), length=32, salt=None, info=b"brokerage encryption").derive(key.encode())
