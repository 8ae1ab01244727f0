"""Say what is wrong with a request."""

from __future__ import annotations


class Problem(Exception):
    """An answer that is not 2xx."""

    def __init__(
        self,
        status: int,
        code: str,
        detail: str,
        errors: list[dict[str, str]] | None = None,
        headers: tuple[tuple[str, str], ...] = (),
        about: dict[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.headers = headers
        # `about` names what the answer is about, so that nobody takes another 404 for this one.
        self.body = {"status": status, "code": code, "detail": detail, "errors": errors or []} | (about or {})


class Invalid(ValueError):
    """A request that is not valid. `errors` says what is wrong with which field; nothing was stored."""

    def __init__(self, errors: list[dict[str, str]]) -> None:
        super().__init__(errors)
        self.errors = errors


def error(field: str, detail: str, code: str = "invalid") -> dict[str, str]:
    """Make one entry of an answer's `errors`."""
    return {"field": field, "code": code, "detail": detail}
