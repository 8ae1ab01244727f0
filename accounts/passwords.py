"""Passwords: refuse guessable ones, and limit how many are hashed at once."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

from django.conf import settings
from django.contrib.auth.hashers import Argon2PasswordHasher
from django.core.exceptions import ValidationError
from zxcvbn import zxcvbn

from accounts.models import Customer
from web.bounded import Bounded, lower_priority

SCORE_MIN = 3  # of 0 to 4; zxcvbn calls it "safely unguessable"
LENGTH_LOOKED_AT = 72  # zxcvbn's time grows with the length, and a longer password is strong by its length alone
WAITING_MAX = 2  # requests of one process that may wait, each of which occupies one of its threads
HASH_WAIT_SECONDS_MAX = 2.0


class TooManyHashes(Exception):
    """Too many passwords are being checked right now. Nothing was checked: try again in a moment."""


# A hash takes a core and 100 MB for a tenth of a second; other requests, which take less, go first.
_hashing = Bounded(WAITING_MAX, HASH_WAIT_SECONDS_MAX, TooManyHashes)
_hasher = ThreadPoolExecutor(1, "hasher", initializer=lower_priority)


class BoundedArgon2Hasher(Argon2PasswordHasher):
    """Argon2 that hashes only a few passwords at once, so that many sign-ins don't take the CPU from everybody else.

    Raises:
        TooManyHashes: Too many requests are waiting, or this one has waited for HASH_WAIT_SECONDS_MAX.
    """

    def encode(self, password: str, salt: str) -> str:
        with _hashing.turn():
            return _hasher.submit(super().encode, password, salt).result()

    def verify(self, password: str, encoded: str) -> bool:
        with _hashing.turn():
            return _hasher.submit(super().verify, password, encoded).result()


class GuessablePasswordValidator:
    """Refuses passwords that are easy to guess: common and leaked ones, their variations, names, dates, keyboard runs.

    Source: zxcvbn (Wheeler, USENIX Security 2016), with its lists of leaked passwords. Nothing leaves the process.
    """

    def validate(self, password: str, user: Any = None) -> None:
        """Raise ValidationError if the password is easy to guess."""
        personal = [user.email, *user.email.partition("@"), user.name] if isinstance(user, Customer) else []
        found = zxcvbn(password[:LENGTH_LOOKED_AT], [*filter(None, personal), *settings.PASSWORD_WORDS])
        if found["score"] < SCORE_MIN:
            advice = found["feedback"]["warning"] or "It is easy to guess."
            raise ValidationError(
                f"Choose a stronger password. {advice.rstrip('.')}. Several uncommon words make a good one.",
                code="password_guessable",
            )

    def get_help_text(self) -> str:
        return "Choose a password that is hard to guess. Several uncommon words make a good one."
