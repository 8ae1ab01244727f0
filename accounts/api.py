"""The REST API of an account: its cash, its postings, its tokens."""

from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import Any, cast

from allauth.account.models import EmailAddress
from allauth.mfa.utils import is_mfa_enabled
from django.contrib.auth import authenticate
from django.utils import timezone
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework import exceptions, serializers
from rest_framework.permissions import BasePermission
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts import funding, queries, sign_ins, token_keys, tokens
from accounts.models import CASH, Posting, Token, normal_email
from accounts.networks import NETWORKS_MAX, network
from accounts.restrictions import standing_of
from accounts.settlement import cash_of
from accounts.sign_in_limits import TooManyAttempts, check_attempt
from web.authentication import Grant
from web.client_address import client_address
from web.drf import CustomerView, PageQuery, created, idempotency_key, page
from web.serializers import (
    AmountField,
    StrictSerializer,
    TextField,
    WordField,
    moment_field,
    money_field,
    shown,
    validated,
)

UNVERIFIED = "This email address is not verified yet: sign in to the website and enter the code that we mailed to it."
SECOND_FACTOR = "This account has two-factor authentication: sign in to the website and create the token there."
IDEMPOTENCY_KEY = OpenApiParameter(
    "Idempotency-Key",
    str,
    OpenApiParameter.HEADER,
    description="1 to 128 printable ASCII characters of your choice. If you repeat a request with the same key and "
    "body, nothing happens twice: the answer is 200 with the result of the first request, and "
    "`Idempotent-Replayed: true`. The same key with a different body is answered with 409.",
)


class BalanceSerializer(serializers.Serializer[Any]):
    amount = money_field(help_text="All cash, USD.")
    held = money_field(help_text="Set aside for the trade in progress, USD.")
    available = money_field(help_text="What can be spent, USD.")
    unsettled = money_field(help_text="Proceeds of sales that have not settled yet, USD.")
    settled = money_field(help_text="All cash except unsettled proceeds, USD.")
    withdrawable = money_field(help_text="Cash that is both available and settled, and so can be withdrawn, USD.")
    goodFaithViolations = serializers.IntegerField(
        read_only=True,  # so it may be missing in what is shown
        help_text="Sales within the last 12 months of shares that were bought with unsettled proceeds, before the "
        "proceeds had settled.",
    )
    settledCashOnlyUntil = serializers.DateField(
        source="settled_cash_until",
        allow_null=True,
        help_text="Until this Eastern date, the account buys with settled cash only, because of too many violations.",
    )
    lastModified = moment_field(source="modified_at")


class PostingSerializer(serializers.Serializer[Any]):
    postingId = serializers.CharField(source="id", help_text="Increases with time.")
    kind = serializers.ChoiceField(Posting.Kind.choices)
    causeId = serializers.UUIDField(source="cause", help_text="The id of what moved it, such as a trade or a transfer.")
    stockTicker = serializers.SerializerMethodField(help_text="Null for cash.")
    amount = serializers.SerializerMethodField(help_text="The cash that moved, USD, with its sign. Null for shares.")
    balance = serializers.SerializerMethodField(help_text="The cash afterwards, USD. Null for shares.")
    quantity = serializers.SerializerMethodField(help_text="The shares that moved, with their sign. Null for cash.")
    position = serializers.SerializerMethodField(help_text="The shares afterwards. Null for cash.")
    price = money_field(allow_null=True, help_text="USD per share, if a trade moved it.")
    settlesOn = serializers.DateField(
        source="settles_on", allow_null=True, help_text="The Eastern date on which it settles."
    )
    createdAt = moment_field(source="created_at")

    def get_stockTicker(self, posting: Posting) -> str | None:
        return posting.ticker or None

    def get_amount(self, posting: Posting) -> str | None:
        return f"{posting.change:.4f}" if posting.ticker == CASH else None

    def get_balance(self, posting: Posting) -> str | None:
        return f"{posting.total:.4f}" if posting.ticker == CASH else None

    def get_quantity(self, posting: Posting) -> int | None:
        return None if posting.ticker == CASH else int(posting.change)

    def get_position(self, posting: Posting) -> int | None:
        return None if posting.ticker == CASH else int(posting.total)


class PostingPageSerializer(serializers.Serializer[Any]):
    results = PostingSerializer(many=True)
    next = serializers.CharField(allow_null=True)


class TransferSerializer(StrictSerializer):
    amount = AmountField(help_text='USD, above zero, as a decimal string: "100.00".')


class NetworkField(TextField):
    """An IP address, or a network in CIDR notation."""

    def to_internal_value(self, data: Any) -> str:
        try:
            return network(super().to_internal_value(data))
        except ValueError:
            raise serializers.ValidationError("Must be an IP address or a network, such as 203.0.113.0/24.") from None


class CreateTokenSerializer(StrictSerializer):
    email = TextField(max_length=254)
    password = TextField(max_length=1024, trim_whitespace=False)
    name = TextField(max_length=80, help_text="A name that tells you what the token is for.")
    scopes = serializers.ListField(
        child=WordField(Token.Scope.choices),
        required=False,
        min_length=1,
        max_length=10,
        help_text="What the token can do; by default, everything. `read` allows reading, `trade` placing and "
        "cancelling, `funds` moving cash.",
    )
    expiresAt = serializers.DateTimeField(
        required=False, allow_null=True, default=None, help_text="When the token expires; by default, never."
    )
    allowedAddresses = serializers.ListField(
        child=NetworkField(max_length=43),
        required=False,
        default=list,
        max_length=NETWORKS_MAX,
        help_text="The only addresses and networks that it can be used from; by default, it can be used from anywhere.",
    )

    def validate_scopes(self, scopes: list[str]) -> list[str]:
        return [scope for scope in Token.Scope.values if scope in scopes]

    def validate_expiresAt(self, moment: datetime | None) -> datetime | None:
        if moment and moment <= timezone.now():
            raise serializers.ValidationError("Must be in the future.", "past")
        return moment


class AllowedAddressesField(serializers.ListField):
    """The networks that a token can be used from. An empty list means anywhere."""

    def __init__(self, **kwargs: Any) -> None:
        help_text = "The only networks that it can be used from; empty: anywhere."
        super().__init__(child=serializers.CharField(), help_text=help_text, **kwargs)

    def get_attribute(self, instance: Any) -> list[str]:
        return super().get_attribute(instance) or []


class TokenSerializer(serializers.Serializer[Any]):
    tokenId = serializers.UUIDField(source="id")
    name = serializers.CharField()
    keyId = serializers.CharField(source="key_id")
    scopes = serializers.ListField(child=serializers.ChoiceField(Token.Scope.choices))
    createdAt = moment_field(source="created_at")
    expiresAt = moment_field(source="expires_at", allow_null=True)
    lastUsedAt = moment_field(source="last_used_at", allow_null=True)
    lastUsedAddress = serializers.CharField(
        source="last_used_address", allow_null=True, help_text="The address that it was last used from."
    )
    allowedAddresses = AllowedAddressesField(source="allowed_addresses")


class TokenListSerializer(serializers.Serializer[Any]):
    results = TokenSerializer(many=True)


class IssuedTokenSerializer(serializers.Serializer[Any]):
    tokenId = serializers.UUIDField(source="grant.id")
    name = serializers.CharField(source="grant.name")
    token = serializers.CharField(help_text="For `Authorization: Bearer`. Shown once.")
    keyId = serializers.CharField(source="key_id")
    secretKey = serializers.CharField(source="secret_key", help_text="Shown once.")
    scopes = serializers.ListField(child=serializers.ChoiceField(Token.Scope.choices), source="grant.scopes")
    createdAt = moment_field(source="grant.created_at")
    expiresAt = moment_field(source="grant.expires_at", allow_null=True)
    allowedAddresses = AllowedAddressesField(source="grant.allowed_addresses")


class BalanceView(CustomerView):
    """A customer's cash."""

    @extend_schema(operation_id="getBalance", responses=BalanceSerializer, tags=["account"])
    def get(self, request: Request) -> Response:
        """Show your cash: the total, what is held for the trade in progress, what you can spend and withdraw."""
        cash, standing = cash_of(self.customer_id), standing_of(self.customer_id)
        return Response(shown(BalanceSerializer, cash) | {"goodFaithViolations": len(standing.violations)})


class PostingsView(CustomerView):
    """A customer's postings."""

    @extend_schema(
        operation_id="listPostings", parameters=[PageQuery], responses=PostingPageSerializer, tags=["account"]
    )
    def get(self, request: Request) -> Response:
        """List all movements of cash and shares, newest first."""
        parameters = self.list_query(PageQuery)
        postings = queries.postings_of(self.customer_id)
        return Response(page(postings, "id", parameters, partial(shown, PostingSerializer)))


def _transfer(view: CustomerView, transfer: Callable[..., tuple[Posting, bool]]) -> Response:
    key = idempotency_key(view.request)
    amount = validated(TransferSerializer, view.request.data)["amount"]
    posting, replayed = transfer(view.customer_id, amount, key)
    if not replayed:
        funding.log_transfer(posting)
    return created(shown(PostingSerializer, posting), replayed)


Handler = Callable[..., Response]


def _transfer_schema(operation_id: str) -> Callable[[Handler], Handler]:
    return extend_schema(
        operation_id=operation_id,
        request=TransferSerializer,
        responses={201: PostingSerializer, 200: OpenApiResponse(PostingSerializer, "This key was used before.")},
        parameters=[IDEMPOTENCY_KEY],
        tags=["account"],
    )


class DepositsView(CustomerView):
    """Deposits."""

    scope = Token.Scope.FUNDS

    @_transfer_schema("deposit")
    def post(self, request: Request) -> Response:
        """Deposit cash from the stand-in bank. It arrives at once."""
        return _transfer(self, funding.deposit)


class WithdrawalsView(CustomerView):
    """Withdrawals."""

    scope = Token.Scope.FUNDS

    @_transfer_schema("withdraw")
    def post(self, request: Request) -> Response:
        """Withdraw cash to the stand-in bank, up to what is withdrawable. It arrives at once."""
        return _transfer(self, funding.withdraw)


class TokensView(CustomerView):
    """The tokens of a customer."""

    def get_authenticators(self) -> list[Any]:
        return [] if self._signs_in() else super().get_authenticators()

    def get_permissions(self) -> Any:
        return [] if self._signs_in() else super().get_permissions()

    def _signs_in(self) -> bool:
        return getattr(self.request, "method", None) == "POST"

    @extend_schema(operation_id="listTokens", responses=TokenListSerializer, tags=["tokens"])
    def get(self, request: Request) -> Response:
        """List your tokens, newest first, without their secrets."""
        return Response(shown(TokenListSerializer, {"results": queries.tokens_of(self.customer_id)}))

    @extend_schema(
        operation_id="createToken",
        request=CreateTokenSerializer,
        parameters=[IDEMPOTENCY_KEY],
        responses={
            201: IssuedTokenSerializer,
            200: OpenApiResponse(IssuedTokenSerializer, "This key was used before."),
        },
        auth=[],
        tags=["tokens"],
    )
    def post(self, request: Request) -> Response:
        """Create a token with your email address and password. Its secrets are shown only in this response, and again
        if you repeat the request with the same `Idempotency-Key`."""
        key = idempotency_key(request)
        body_data = validated(CreateTokenSerializer, request.data)
        email = normal_email(body_data["email"])
        try:
            check_attempt(email, client_address(request))
        except TooManyAttempts as error:
            raise exceptions.Throttled(error.retry_after) from None
        customer = authenticate(request._request, username=email, password=body_data["password"])
        if customer is None:
            raise exceptions.AuthenticationFailed("The email address and password do not match.", "wrong_credentials")
        if not EmailAddress.objects.filter(user_id=customer.pk, email=email, verified=True).exists():
            raise exceptions.PermissionDenied(UNVERIFIED, "email_not_verified")
        if is_mfa_enabled(customer):  # a password alone must not be enough
            raise exceptions.PermissionDenied(SECOND_FACTOR, "second_factor_required")
        scopes = body_data.get("scopes", list(Token.Scope.values))
        terms = (body_data["name"], scopes, body_data["expiresAt"], body_data["allowedAddresses"])
        if key is None:
            issued, replayed = tokens.issue(customer, *terms), False
        else:
            issued, replayed = token_keys.issue_once(customer, key, body_data["password"], *terms)
        if not replayed:
            sign_ins.note_token(request._request, issued.grant.customer)
        return created(shown(IssuedTokenSerializer, issued), replayed)


class MayEndTokens(BasePermission):
    """A token can revoke itself, whatever its scopes; to revoke another one it needs all scopes."""

    message = "To revoke another token, this token needs every scope."

    def has_permission(self, request: Request, view: APIView) -> bool:
        grant = cast("Grant | None", request.auth)
        return grant is not None and (
            grant.id == view.kwargs["token_id"] or set(Token.Scope.values) <= set(grant.scopes)
        )


class TokenView(CustomerView):
    """One token."""

    permission_classes = (MayEndTokens,)

    @extend_schema(operation_id="deleteToken", responses={204: None}, tags=["tokens"])
    def delete(self, request: Request, token_id: Any) -> Response:
        """Revoke a token at once: the one that you use for this request or, if it has every scope, any of yours."""
        if not tokens.end(self.customer_id, token_id):
            raise exceptions.NotFound("You have no token with this id.")
        return Response(status=204)
