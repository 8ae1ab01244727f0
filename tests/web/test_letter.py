"""A letter has the same text as Django's message."""

from email.policy import compat32
from typing import Any

import pytest
from django.core.mail import EmailMultiAlternatives
from hypothesis import example, given
from hypothesis import strategies as st

from web.letter import PLAIN_HEADERS, Letter

HEADERS = {"Date": "Sat, 28 Nov 2026 10:00:00 -0000", "Message-ID": "<1@localhost>"}


@given(st.from_regex(r"[A-Z][A-Za-z-]{0,30}", fullmatch=True), st.text(st.characters(exclude_categories=["Cs"])))
@example("Subject", "")
@example("Subject", "Your trade was filled  ")
@example("Subject", "x" * 60 + " and more")
@example("Subject", "y" * 68)
@example("Subject", "two\n lines")
@example("To", "a@example.com, b@example.com")
def test_a_header_is_written_as_the_standard_library_writes_it(name: str, value: str) -> None:
    assert PLAIN_HEADERS.fold_binary(name, value) == compat32.fold_binary(name, value)


@pytest.mark.parametrize("subject", ["Bought 5 AAPL at $187.50", "Bought " * 20, "Zoë bought ✓", "Zoë " * 40])
@pytest.mark.parametrize("html", [[], [("<p>Bought ✓</p>", "text/html")]], ids=["text", "html"])
def test_a_letter_has_the_text_of_djangos_message(subject: str, html: Any) -> None:
    def of(kind: type[EmailMultiAlternatives]) -> Any:
        sender = "Brokerage <no-reply@localhost>"
        return kind(subject, "Bought ✓\n" * 3, sender, ["zoë@example.com"], headers=HEADERS, alternatives=html)

    letter, djangos = of(Letter).message(), of(EmailMultiAlternatives).message()
    if html:
        assert len(letter.get_boundary()) > 32
        assert letter.get_boundary() != of(Letter).message().get_boundary()
        djangos.set_boundary(letter.get_boundary())
    for line_end in ("\n", "\r\n"):
        assert letter.as_bytes(linesep=line_end) == djangos.as_bytes(linesep=line_end)
