"""What all our REST endpoints share: strict bodies, money and quantities, idempotency keys, pages."""

import base64
import binascii
import json
import re
from collections.abc import Callable
from decimal import Decimal
from functools import cache
from typing import Any, ClassVar, NoReturn, TypeVar, cast

from django.db.models import QuerySet
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from rest_framework import exceptions, serializers
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.parsers import BaseParser
from rest_framework.permissions import BasePermission
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.throttling import BaseThrottle
from rest_framework.views import APIView

from web.authentication import SAFE_METHODS, Grant, HasScope, TokenAuthentication
from web.rate_limits import Allowance, count, count_stranger

IDEMPOTENCY_KEY_LENGTH_MAX = 128
PAGE_SIZE, PAGE_SIZE_MAX = 100, 500
BIGINT_MAX = 2**63 - 1
UNKNOWN_FIELDS_NAMED_MAX = 10
S = TypeVar("S", bound=serializers.BaseSerializer)
DECIMAL = re.compile(r"-?[0-9]*\.?[0-9]*", re.ASCII)


class BearerToken(OpenApiAuthenticationExtension):
    """How the OpenAPI schema names our authentication."""

    target_class = "web.authentication.TokenAuthentication"
    name = "token"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        return {"type": "http", "scheme": "bearer"}


class JsonParser(BaseParser):
    """JSON as RFC 8259 has it: UTF-8 whatever `charset` says, no NaN; no longer than DATA_UPLOAD_MAX_MEMORY_SIZE."""

    media_type = "application/json"

    def parse(self, stream: Any, media_type: str | None = None, parser_context: Any = None) -> Any:
        try:
            # `body`, unlike the stream, is bounded.
            return self.decode(parser_context["request"]._request.body.decode())
        except (ValueError, RecursionError) as error:
            raise exceptions.ParseError(f"The body is not JSON: {error}") from None

    def decode(self, body: str) -> Any:
        """The value in a text of JSON. Raises ValueError, RecursionError."""
        return json.loads(body, parse_constant=self._refuse)

    def _refuse(self, constant: str) -> NoReturn:
        raise ValueError(f"{constant} is not a number")


class JsonOnly(BaseContentNegotiation):
    """There is one way to answer, whatever `Accept` says; a body must say that it is JSON."""

    def select_parser(self, request: Request, parsers: Any) -> Any:
        """The parser of the body's media type; None, which is 415, where there is none."""
        media_type = request.content_type.partition(";")[0].strip().lower()
        return next((parser for parser in parsers if parser.media_type == media_type), None)

    def select_renderer(self, request: Request, renderers: Any, format_suffix: str | None = None) -> Any:
        """The one renderer, and its media type."""
        return renderers[0], renderers[0].media_type


@cache
def shared(serializer: type[S]) -> S:
    """One instance of a serializer for all requests, for `run_validation` and `to_representation`, which leave nothing
    on it. Making an instance copies every field, which costs more than all that it then does."""
    return serializer()


class CustomerView(APIView):
    """An endpoint for a customer's program. `scope`: what a token needs to change something here."""

    content_negotiation_class = JsonOnly
    parser_classes = (JsonParser,)
    permission_classes: tuple[type[BasePermission], ...] = (HasScope,)
    scope: str | None = None
    allowance: Allowance | None = None

    @property
    def customer_id(self) -> int:
        """Who calls."""
        return self.grant.customer_id

    @property
    def grant(self) -> Grant:
        """The token that the caller sent."""
        return cast("Grant", self.request.auth)

    def perform_authentication(self, request: Request) -> None:
        """Who calls, and whether they called too often, before anything else happens. Raises AuthenticationFailed,
        Throttled, MethodNotAllowed."""
        try:
            super().perform_authentication(request)
        except exceptions.AuthenticationFailed:
            self._count(count_stranger(BaseThrottle().get_ident(request)))
            raise
        if request.auth is not None:
            self._count(count(self.grant, is_read=request.method in SAFE_METHODS))
        else:
            self._count(count_stranger(BaseThrottle().get_ident(request)))
        if request.method not in self.allowed_methods:  # before anybody asks which scope it would need
            raise exceptions.MethodNotAllowed(str(request.method))

    def _count(self, allowance: Allowance) -> None:
        self.allowance = allowance
        if allowance.exceeded:
            raise exceptions.Throttled(allowance.reset_seconds)

    def finalize_response(self, request: Request, response: Any, *args: Any, **kwargs: Any) -> Any:
        """The answer, with what is left of the caller's limit in its headers."""
        response = super().finalize_response(request, response, *args, **kwargs)
        if self.allowance:
            for name, value in self.allowance.headers.items():
                response[name] = value
        return response

    def get_authenticate_header(self, request: Request) -> str:
        return TokenAuthentication().authenticate_header(request)  # even where none was asked for: 401, not 403

    def permission_denied(self, request: Request, message: str | None = None, code: str | None = None) -> NoReturn:
        if request.auth is None:
            raise exceptions.NotAuthenticated("Send “Authorization: Bearer <token>”.")
        super().permission_denied(request, message, code)


class StrictSerializer(serializers.Serializer):
    """Refuses what it does not know: a misspelt field is an error, not a surprise."""

    def to_internal_value(self, data: Any) -> Any:
        if not isinstance(data, dict) or not (names := [name for name in data if name not in self.fields]):
            return super().to_internal_value(data)
        detail = serializers.ErrorDetail(f"Unknown field; known are: {', '.join(self.fields)}.", "unknown")
        wrong: dict[str, Any] = {name: [detail] for name in names[:UNKNOWN_FIELDS_NAMED_MAX]}
        try:
            super().to_internal_value(data)
        except serializers.ValidationError as error:
            wrong = {**dict(error.detail), **wrong}  # type: ignore[arg-type]
        raise serializers.ValidationError(wrong)


class TextField(serializers.CharField):
    """A JSON string, and nothing that only looks like one."""

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str):
            self.fail("invalid")
        return super().to_internal_value(data)


class WordField(serializers.ChoiceField):
    """One of a few JSON strings."""

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str):
            self.fail("invalid_choice", input=f"a {type(data).__name__}")
        return super().to_internal_value(data)


class WholeNumberField(serializers.IntegerField):
    """A JSON number without a fraction: not "3", not 3.5, not true."""

    default_error_messages: ClassVar = {"invalid": "Must be a whole number, such as 3."}

    def to_internal_value(self, data: Any) -> int:
        if type(data) is not int:
            self.fail("invalid")
        return super().to_internal_value(data)


class AmountField(serializers.DecimalField):
    """USD above zero as a decimal string with four digits at most: "100.00"."""

    default_error_messages: ClassVar = {"invalid": 'Must be a decimal string, such as "100.00".'}

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(max_digits=15, decimal_places=4, min_value=Decimal("0.0001"), **kwargs)

    def to_internal_value(self, data: Any) -> Decimal:
        if not (isinstance(data, str) and DECIMAL.fullmatch(data)):  # Decimal would also take "1e2" and "1_000"
            self.fail("invalid")
        return super().to_internal_value(data)


def money_field(**kwargs: Any) -> serializers.DecimalField:
    """USD in an answer: a decimal string with four digits."""
    return serializers.DecimalField(max_digits=19, decimal_places=4, **kwargs)


def moment_field(**kwargs: Any) -> serializers.DateTimeField:
    """A time in an answer: RFC 3339, UTC, always with microseconds."""
    return serializers.DateTimeField(format="%Y-%m-%dT%H:%M:%S.%fZ", **kwargs)


def idempotency_key(request: Request) -> str | None:
    """The Idempotency-Key header; None where there is none. Raises ValidationError unless 1 to 128 printable ASCII."""
    key = request.headers.get("Idempotency-Key")
    if key is None:
        return None
    if not (1 <= len(key) <= IDEMPOTENCY_KEY_LENGTH_MAX and key.isascii() and key.isprintable()):
        raise serializers.ValidationError(
            {"Idempotency-Key": f"Must be 1 to {IDEMPOTENCY_KEY_LENGTH_MAX} printable ASCII characters."}
        )
    return key


def created(answer: Any, replayed: bool, headers: dict[str, str] | None = None) -> Response:
    """201 with what was made; 200 and `Idempotent-Replayed: true` where the same key had made it before."""
    if replayed:
        return Response(answer, status=200, headers={"Idempotent-Replayed": "true"})
    return Response(answer, status=201, headers=headers or {})


class PageQuery(StrictSerializer):
    """`cursor` and `limit` of a list."""

    cursor = TextField(required=False, help_text="`next` of the page before.")
    limit = serializers.IntegerField(required=False, min_value=1, max_value=PAGE_SIZE_MAX, default=PAGE_SIZE)

    def validate_cursor(self, cursor: str) -> int:
        try:
            position = int(base64.b32decode(cursor, casefold=True))
        except (ValueError, binascii.Error):
            position = -1
        if not 0 <= position <= BIGINT_MAX:
            raise serializers.ValidationError("Not a cursor of ours: take it from “next” of the page before.")
        return position


def page(rows: QuerySet, key: str, query: dict[str, Any], show: Callable[[Any], Any]) -> dict[str, Any]:
    """One page of `rows`, by falling `key`: {"results", "next"}. New rows do not shift it; any page costs the same."""
    if "cursor" in query:
        rows = rows.filter(**{f"{key}__lt": query["cursor"]})
    return cut(list(rows.order_by(f"-{key}")[: query["limit"] + 1]), key, query["limit"], show)


def cut(found: list[Any], key: str, limit: int, show: Callable[[Any], Any]) -> dict[str, Any]:
    """The same of rows that were read already, in that order, up to one more than the page takes."""
    shown = found[:limit]
    has_more = len(found) > limit
    position = str(getattr(shown[-1], key)) if has_more else ""
    return {
        "results": [show(row) for row in shown],
        "next": base64.b32encode(position.encode()).decode() if has_more else None,
    }
