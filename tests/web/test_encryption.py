"""Encrypted secrets: readable with the current and the previous key only."""

from typing import Any

import pytest

from web.encryption import Undecryptable, decrypt, encrypt


def test_encrypted_text_can_be_read_and_differs_each_time() -> None:
    first, second = encrypt("whsec_1"), encrypt("whsec_1")
    assert decrypt(first) == decrypt(second) == "whsec_1"
    assert first != second
    assert "whsec" not in first


def test_a_key_that_was_replaced_still_reads(settings: Any) -> None:
    before = encrypt("whsec_1")
    settings.SECRET_KEY, old = "another", settings.SECRET_KEY
    with pytest.raises(Undecryptable):
        decrypt(before)
    settings.SECRET_KEY_FALLBACKS = [old]
    assert decrypt(before) == "whsec_1"


def test_text_that_is_not_encrypted_is_refused() -> None:
    with pytest.raises(Undecryptable):
        decrypt("whsec_1")
