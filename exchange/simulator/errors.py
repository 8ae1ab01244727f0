"""The errors that a call is answered with."""

from __future__ import annotations


class Problem(Exception):
    """A response other than 2xx."""

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
        # `about` names the subject, so that a broker can tell this 404 from one about something else.
        self.body = {"status": status, "code": code, "detail": detail, "errors": errors or []} | (about or {})


class Invalid(ValueError):
    """A request is not valid. `errors` names each wrong field. Nothing was stored."""

    def __init__(self, errors: list[dict[str, str]]) -> None:
        super().__init__(errors)
        self.errors = errors


def error(field: str, detail: str, code: str = "invalid") -> dict[str, str]:
    """Return an entry of a response's `errors`."""
    return {"field": field, "code": code, "detail": detail}
