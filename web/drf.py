"""Base classes of all REST endpoints: strict bodies, tokens and rate limits, idempotency keys, pagination."""

import base64
import binascii
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http import HTTPStatus
from typing import Any, ClassVar, NoReturn, cast

from django.db.models import QuerySet
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.utils import extend_schema
from rest_framework import exceptions, serializers
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.parsers import BaseParser
from rest_framework.permissions import BasePermission
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from web.access import Access
from web.authentication import (
    SAFE_METHODS,
    AddressNotAllowed,
    Grant,
    HasScope,
    RememberedTokenAuthentication,
    TokenAuthentication,
    authorization,
    bearer_token,
)
from web.client_address import client_address
from web.headers import header
from web.rate_limits import Allowance, count, count_stranger
from web.serializers import StrictSerializer, TextField, validated

IDEMPOTENCY_KEY_LENGTH_MAX = 128
IDEMPOTENCY_KEY_RULE = f"Must be 1 to {IDEMPOTENCY_KEY_LENGTH_MAX} printable ASCII characters."
PAGE_SIZE, PAGE_SIZE_MAX = 100, 500
BIGINT_MAX = 2**63 - 1


class BearerToken(OpenApiAuthenticationExtension):
    """Describe bearer tokens in the OpenAPI schema."""

    target_class = "web.authentication.TokenAuthentication"
    match_subclasses = True
    name = "token"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        return {"type": "http", "scheme": "bearer"}


def refuse_constant(constant: str) -> NoReturn:
    """Refuse NaN and the infinities, which are not JSON, although Python reads them."""
    raise ValueError(f"{constant} is not a number")


class JsonParser(BaseParser):
    """Parse JSON as RFC 8259 defines it: always UTF-8, no NaN, at most DATA_UPLOAD_MAX_MEMORY_SIZE bytes."""

    media_type = "application/json"
    decoder: ClassVar = json.JSONDecoder(parse_constant=refuse_constant)

    def parse(self, stream: Any, media_type: str | None = None, parser_context: Any = None) -> Any:
        try:
            # Django limits the size of `body`, but not of the stream.
            return self.decoder.decode(parser_context["request"]._request.body.decode())
        except (ValueError, RecursionError) as error:
            raise exceptions.ParseError(f"The body is not JSON: {error}") from None


class JsonOnly(BaseContentNegotiation):
    """Always answer with JSON, whatever `Accept` says; a body must be declared as JSON."""

    def select_parser(self, request: Request, parsers: Any) -> Any:
        """Return the parser for the body's media type; None, which results in a 415, if there is none."""
        media_type = request.content_type.partition(";")[0].strip().lower()
        return next((parser for parser in parsers if parser.media_type == media_type), None)

    def select_renderer(self, request: Request, renderers: Any, format_suffix: str | None = None) -> Any:
        """Return the only renderer and its media type."""
        return renderers[0], renderers[0].media_type


class CustomerView(APIView):
    """Base class of the endpoints for customers' programs. Unsafe methods need a token with the view's `scope`."""

    content_negotiation_class = JsonOnly
    parser_classes = (JsonParser,)
    permission_classes: tuple[type[BasePermission], ...] = (HasScope,)
    scope: str | None = None
    allowance: Allowance | None = None

    @property
    def customer_id(self) -> int:
        """The id of the customer to whom the token belongs."""
        return self.grant.customer_id

    @property
    def grant(self) -> Grant:
        """The grant of the token that the caller sent."""
        return cast("Grant", self.request.auth)

    def perform_authentication(self, request: Request) -> None:
        """Authenticate, and count the request against its rate limit, before anything else happens.

        Raises:
            AuthenticationFailed: The token is not valid.
            AddressNotAllowed: The token may not be used from the caller's address.
            Throttled: The customer or the address has made too many requests.
            MethodNotAllowed: The endpoint does not support this method.
        """
        with self._counting_strangers():
            self.identify(request)
        if request.auth is not None:
            self._count(count(self.grant, is_read=request.method in SAFE_METHODS))
        else:
            self._count(count_stranger(client_address(request)))
        if request.method not in self.allowed_methods:  # before the scope is checked
            raise exceptions.MethodNotAllowed(str(request.method))

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        """Answer, and then untie the view, the request and the response, which DRF ties to each other.

        Tied together, they would stay until Python's garbage collector looks for them, and it stops all threads
        meanwhile: for 0.2 s every thousand placings, which was an eighth of the CPU of `web`.
        """
        response = super().dispatch(request, *args, **kwargs)
        if isinstance(response, Response):
            response.render()
            cast("Any", response).renderer_context = {}
        self.request.parser_context = {}
        vars(self).clear()
        return response

    def identify(self, request: Request) -> None:
        """Authenticate, and no more."""
        super().perform_authentication(request)

    @contextmanager
    def _counting_strangers(self) -> Iterator[None]:
        try:
            yield
        except (exceptions.AuthenticationFailed, AddressNotAllowed):
            self._count(count_stranger(client_address(self.request)))
            raise

    def count_as(self, number: int) -> None:
        """Count this request as several. The first is already counted; the rest are counted now.

        Raises:
            Throttled: The customer has made too many requests. Nothing has happened yet.
        """
        if number > 1:
            self._count(count(self.grant, self.request.method in SAFE_METHODS, number - 1))

    def list_query(self, kind: "type[PageQuery]") -> dict[str, Any]:
        """Return the valid parameters of a list, and count the request as one for every PAGE_SIZE rows asked for.

        Raises:
            ValidationError: A parameter is not valid.
            Throttled: The customer has made too many requests.
        """
        parameters = validated(kind, self.request.query_params.dict())
        self.count_rows(parameters["limit"])
        return parameters

    def count_rows(self, rows: int) -> None:
        """Count this request as one for every PAGE_SIZE rows. Otherwise like `count_as`."""
        self.count_as(-(-rows // PAGE_SIZE))

    def _count(self, allowance: Allowance) -> None:
        self.allowance = allowance
        if allowance.exceeded:
            raise exceptions.Throttled(allowance.reset_seconds)

    def finalize_response(self, request: Request, response: Any, *args: Any, **kwargs: Any) -> Any:
        """Add the caller's remaining rate limit to the headers."""
        response = super().finalize_response(request, response, *args, **kwargs)
        if self.allowance:
            for name, value in self.allowance.headers.items():
                response[name] = value
        return response

    def get_authenticate_header(self, request: Request) -> str:
        return TokenAuthentication().authenticate_header(request)  # always set, so that the status is 401 and not 403

    def permission_denied(self, request: Request, message: str | None = None, code: str | None = None) -> NoReturn:
        if request.auth is None:
            raise exceptions.NotAuthenticated("Send “Authorization: Bearer <token>”.")
        super().permission_denied(request, message, code)


@extend_schema(auth=[{BearerToken.name: []}])  # type: ignore[list-item] # it takes security requirements, too
class LateConfirmedView(CustomerView):
    """Base class of endpoints whose own statement confirms the caller's access, which saves a query before it.

    If `access` is None, the token was looked up for this request. Otherwise the request began with a remembered grant,
    and the endpoint hands `access` to the statement that does its work. An answer for which no statement has confirmed
    it, such as a refusal, waits until the token is looked up. So a token still ends at once.
    """

    authentication_classes = (RememberedTokenAuthentication,)
    access: Access | None = None

    def identify(self, request: Request) -> None:
        """Authenticate, and set `access` if the grant is a remembered one."""
        super().identify(request)
        if getattr(request.successful_authenticator, "is_from_memory", False):
            self.access = Access(self.grant.id, self.grant.version, self._confirm)

    def _confirm(self) -> None:
        self.access = None
        with self._counting_strangers():
            token = bearer_token(authorization(self.request)) or ""
            found = RememberedTokenAuthentication().look_up(self.request, token)
        self.request.user, self.request.auth = found  # type: ignore[misc] # not None, because there is a token
        self.check_permissions(self.request)

    def finalize_response(self, request: Request, response: Any, *args: Any, **kwargs: Any) -> Any:
        """Confirm the access if that has not been done. An error of the server needs none: it says nothing."""
        if self.access and not self.access.is_confirmed and response.status_code < HTTPStatus.INTERNAL_SERVER_ERROR:
            try:
                self._confirm()
            except Exception as refusal:  # noqa: BLE001 — it is answered like any other
                response = self.handle_exception(refusal)
        return super().finalize_response(request, response, *args, **kwargs)


def is_idempotency_key(key: str) -> bool:
    """Return whether a string is a valid idempotency key: 1 to 128 printable ASCII characters."""
    return 1 <= len(key) <= IDEMPOTENCY_KEY_LENGTH_MAX and key.isascii() and key.isprintable()


class IdempotencyKeyField(TextField):
    """The idempotency key of one item of a batch request; null means no key."""

    default_error_messages: ClassVar = {"invalid": IDEMPOTENCY_KEY_RULE, "blank": IDEMPOTENCY_KEY_RULE}

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(required=False, allow_null=True, trim_whitespace=False, **kwargs)

    def to_internal_value(self, data: Any) -> str:
        if not (isinstance(data, str) and is_idempotency_key(data)):
            self.fail("invalid")
        return data


def idempotency_key(request: Request) -> str | None:
    """Return the Idempotency-Key header, or None.

    Raises:
        ValidationError: The key is not 1 to 128 printable ASCII characters.
    """
    key = header(request, "Idempotency-Key")
    if key is not None and not is_idempotency_key(key):
        raise serializers.ValidationError({"Idempotency-Key": IDEMPOTENCY_KEY_RULE})
    return key


def created(answer: Any, replayed: bool, headers: dict[str, str] | None = None) -> Response:
    """Answer 201 with a new object; 200 and `Idempotent-Replayed: true` if the same key created it before."""
    if replayed:
        return Response(answer, status=200, headers={"Idempotent-Replayed": "true"})
    return Response(answer, status=201, headers=headers or {})


class PageQuery(StrictSerializer):
    """The `cursor` and `limit` parameters of a list."""

    cursor = TextField(required=False, help_text="`next` of the previous page.")
    limit = serializers.IntegerField(required=False, min_value=1, max_value=PAGE_SIZE_MAX, default=PAGE_SIZE)

    def validate_cursor(self, cursor: str) -> int:
        try:
            position = int(base64.b32decode(cursor, casefold=True))
        except (ValueError, binascii.Error):
            position = -1
        if not 0 <= position <= BIGINT_MAX:
            raise serializers.ValidationError("Not a valid cursor: use “next” of the previous page.")
        return position


def page(rows: QuerySet[Any], key: str, query: dict[str, Any], show: Callable[[Any], Any]) -> dict[str, Any]:
    """Return one page of `rows` in descending order of `key`: {"results", "next"}.

    Keyset pagination: new rows don't shift the pages, and every page costs the same.
    """
    if "cursor" in query:
        rows = rows.filter(**{f"{key}__lt": query["cursor"]})
    return page_of_rows(list(rows.order_by(f"-{key}")[: query["limit"] + 1]), key, query["limit"], show)


def page_of_rows(rows: list[Any], key: str, limit: int, show: Callable[[Any], Any]) -> dict[str, Any]:
    """Return a page of rows that have been read already.

    Args:
        rows: Up to `limit` + 1 rows in the order of the page. The extra row only shows that there is another page.
    """
    on_page = rows[:limit]
    has_more = len(rows) > limit
    position = str(getattr(on_page[-1], key)) if has_more else ""
    return {
        "results": [show(row) for row in on_page],
        "next": base64.b32encode(position.encode()).decode() if has_more else None,
    }
