"""Encrypted secrets can be decrypted with the current and the previous key only."""

from typing import Any

import pytest

from web.encryption import Undecryptable, decrypt, encrypt


def test_text_can_be_decrypted_and_is_encrypted_differently_each_time() -> None:
    first, second = encrypt("whsec_1"), encrypt("whsec_1")
    assert decrypt(first) == decrypt(second) == "whsec_1"
    assert first != second
    assert "whsec" not in first


def test_a_replaced_key_still_decrypts(settings: Any) -> None:
    encrypted = encrypt("whsec_1")
    settings.SECRET_KEY, previous_key = "another", settings.SECRET_KEY
    with pytest.raises(Undecryptable):
        decrypt(encrypted)
    settings.SECRET_KEY_FALLBACKS = [previous_key]
    assert decrypt(encrypted) == "whsec_1"


def test_text_that_is_not_encrypted_is_refused() -> None:
    with pytest.raises(Undecryptable):
        decrypt("whsec_1")
