"""The REST API of webhooks."""

from typing import Any
from uuid import UUID

from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework import exceptions, serializers
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api import IDEMPOTENCY_KEY
from accounts.models import Token
from feed.reader import EVENT_TYPES, Cursor
from web.authentication import READ
from web.drf import (
    CustomerView,
    PageQuery,
    StrictSerializer,
    TextField,
    WholeNumberField,
    WordField,
    created,
    idempotency_key,
    moment_field,
    page,
)
from webhooks import subscriptions
from webhooks.models import Delivery, Webhook


class EventTypesField(serializers.ListField):
    """Types of events; an empty list stands for all."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(child=WordField(EVENT_TYPES), max_length=len(EVENT_TYPES), **kwargs)


class CreateWebhookSerializer(StrictSerializer):
    url = TextField(max_length=500, help_text="Where events are posted: https://…, not inside a private network.")
    events = EventTypesField(required=False, help_text="The types of events to post; all where it is empty.")


class UpdateWebhookSerializer(StrictSerializer):
    url = TextField(max_length=500, required=False)
    events = EventTypesField(required=False)
    paused = serializers.BooleanField(required=False, help_text="true: post nothing for now; events wait.")


class RotateSecretSerializer(StrictSerializer):
    overlapSeconds = WholeNumberField(
        required=False,
        min_value=0,
        max_value=subscriptions.OVERLAP_SECONDS_MAX,
        default=subscriptions.OVERLAP_SECONDS,
        help_text="How long the secret before signs as well.",
    )


class EventIdField(TextField):
    """An event's id."""

    def to_internal_value(self, data: Any) -> Cursor:  # type: ignore[override]
        try:
            return Cursor.parse(super().to_internal_value(data))
        except ValueError as error:
            raise serializers.ValidationError(f"{error}.") from None


class ResendSerializer(StrictSerializer):
    after = EventIdField(max_length=32, help_text='An event\'s id; "0" is before the first.')
    until = EventIdField(required=False, max_length=32, help_text="The last event to post again; else the newest.")


class ResentSerializer(serializers.Serializer[Any]):
    count = serializers.IntegerField(help_text="How many events will be posted again.")
    next = serializers.CharField(allow_null=True, help_text="`after` of the next call where there may be more.")


class WebhookSerializer(serializers.Serializer[Any]):
    webhookId = serializers.UUIDField(source="id")
    url = serializers.CharField()
    events = serializers.ListField(child=serializers.CharField(), help_text="The types of events; empty: all.")
    status = serializers.ChoiceField(
        Webhook.Status.choices,
        help_text="`paused` by you; `failing`: your server takes nothing, and we try now and then; `ended` for good.",
    )
    statusReason = serializers.CharField(source="status_reason", allow_null=True)
    tokenId = serializers.UUIDField(
        source="token_id", allow_null=True, help_text="The token that made it, and with which it ends; null: a page."
    )
    previousSecretUntil = moment_field(source="previous_secret_until", allow_null=True)
    createdAt = moment_field(source="created_at")


class CreatedWebhookSerializer(WebhookSerializer):
    """A webhook with its secret: in the answer that made it, or that replaced the secret."""

    secret = serializers.CharField(help_text="Signs what is posted (Standard Webhooks). Keep it now.")


class WebhookListSerializer(serializers.Serializer[Any]):
    results = WebhookSerializer(many=True)


class DeliverySerializer(serializers.Serializer[Any]):
    deliveryId = serializers.CharField(source="id", help_text="Grows with time.")
    eventId = serializers.CharField(source="event_id", help_text="`webhook-id` of what is posted.")
    type = serializers.CharField(help_text="`trade.filled` and so on; `webhook.test`.")
    createdAt = moment_field(source="created_at")
    attempts = serializers.IntegerField()
    lastAnswer = serializers.CharField(source="answer", help_text="How the last attempt went.")
    deliveredAt = moment_field(source="delivered_at", allow_null=True)
    nextAttemptAt = moment_field(
        source="next_at", allow_null=True, help_text="Null once it was delivered, or given up after a day."
    )


class DeliveryPageSerializer(serializers.Serializer[Any]):
    results = DeliverySerializer(many=True)
    next = serializers.CharField(allow_null=True, help_text="`cursor` of the next page; null on the last.")


class _WebhookView(CustomerView):
    scope = Token.Scope.WEBHOOKS

    def mine(self, webhook_id: UUID) -> Webhook:
        """Return the caller's webhook with this id.

        Raises:
            NotFound: There is none.
        """
        hook = subscriptions.webhooks_of(self.customer_id).filter(id=webhook_id).first()
        if hook is None:
            raise exceptions.NotFound("You have no such webhook.")
        return hook


class WebhooksView(_WebhookView):
    """A customer's webhooks."""

    @extend_schema(operation_id="listWebhooks", responses=WebhookListSerializer, tags=["webhooks"])
    def get(self, request: Request) -> Response:
        """Your webhooks, without their secrets."""
        return Response(WebhookListSerializer({"results": subscriptions.webhooks_of(self.customer_id)}).data)

    @extend_schema(
        operation_id="createWebhook",
        request=CreateWebhookSerializer,
        parameters=[IDEMPOTENCY_KEY],
        responses={
            201: CreatedWebhookSerializer,
            200: OpenApiResponse(CreatedWebhookSerializer, "This key was used before."),
        },
        tags=["webhooks"],
    )
    def post(self, request: Request) -> Response:
        """Have your events posted to an address, from now on, signed as Standard Webhooks specifies. An event that is
        not answered with 2xx within 5 s is posted again, with growing pauses, for a day. The webhook ends with the
        token that made it."""
        if READ not in self.grant.scopes:  # what is posted tells all that the token could read
            raise exceptions.PermissionDenied(f"This token lacks the scope “{READ}”, which a webhook needs as well.")
        key = idempotency_key(request)
        body = CreateWebhookSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        asked = body.validated_data
        hook, replayed = subscriptions.create(
            self.customer_id, asked["url"], asked.get("events", ()), token_id=self.grant.id, key=key
        )
        return created(CreatedWebhookSerializer(hook).data, replayed)


class WebhookView(_WebhookView):
    """One webhook."""

    @extend_schema(operation_id="getWebhook", responses=WebhookSerializer, tags=["webhooks"])
    def get(self, request: Request, webhook_id: UUID) -> Response:
        """One of your webhooks."""
        return Response(WebhookSerializer(self.mine(webhook_id)).data)

    @extend_schema(
        operation_id="updateWebhook", request=UpdateWebhookSerializer, responses=WebhookSerializer, tags=["webhooks"]
    )
    def patch(self, request: Request, webhook_id: UUID) -> Response:
        """Change its address or its types of events; pause it, or resume it. While it is paused, events wait."""
        hook = self.mine(webhook_id)
        body = UpdateWebhookSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        asked = body.validated_data
        subscriptions.change(hook, asked.get("url"), asked.get("events"))
        if "paused" in asked:
            hook = subscriptions.pause(hook) if asked["paused"] else subscriptions.resume(hook)
        return Response(WebhookSerializer(hook).data)

    @extend_schema(operation_id="deleteWebhook", responses={204: None}, tags=["webhooks"])
    def delete(self, request: Request, webhook_id: UUID) -> Response:
        """Delete a webhook and the log of its deliveries."""
        self.mine(webhook_id).delete()
        return Response(status=204)


class RotateSecretView(_WebhookView):
    """The secret of a webhook."""

    @extend_schema(
        operation_id="rotateWebhookSecret",
        request=RotateSecretSerializer,
        responses=CreatedWebhookSerializer,
        tags=["webhooks"],
    )
    def post(self, request: Request, webhook_id: UUID) -> Response:
        """Replace the secret. For a while both sign: `webhook-signature` then has two signatures."""
        hook = self.mine(webhook_id)
        body = RotateSecretSerializer(data=request.data or {})
        body.is_valid(raise_exception=True)
        subscriptions.rotate_secret(hook, body.validated_data["overlapSeconds"])
        return Response(CreatedWebhookSerializer(hook).data)


class DeliveriesView(_WebhookView):
    """What was posted."""

    @extend_schema(
        operation_id="listDeliveries", parameters=[PageQuery], responses=DeliveryPageSerializer, tags=["webhooks"]
    )
    def get(self, request: Request, webhook_id: UUID) -> Response:
        """The log of a webhook's deliveries, newest first."""
        query = PageQuery(data=request.query_params.dict())
        query.is_valid(raise_exception=True)
        rows = Delivery.objects.filter(webhook=self.mine(webhook_id))
        answer: dict[str, Any] = page(rows, "id", query.validated_data, lambda row: DeliverySerializer(row).data)
        return Response(answer)


class ResendDeliveryView(_WebhookView):
    """Posting one delivery again."""

    @extend_schema(operation_id="resendDelivery", request=None, responses={202: DeliverySerializer}, tags=["webhooks"])
    def post(self, request: Request, webhook_id: UUID, delivery_id: int) -> Response:
        """Post a delivery again, with the same `webhook-id`, whatever became of it before."""
        hook = self.mine(webhook_id)
        delivery = Delivery.objects.filter(webhook=hook, id=delivery_id).first()
        if delivery is None:
            raise exceptions.NotFound("This webhook has no such delivery.")
        return Response(DeliverySerializer(subscriptions.send_again(hook, delivery)).data, status=202)


class ResendView(_WebhookView):
    """Posting a range of events again."""

    @extend_schema(
        operation_id="resendEvents", request=ResendSerializer, responses={202: ResentSerializer}, tags=["webhooks"]
    )
    def post(self, request: Request, webhook_id: UUID) -> Response:
        """Post your events after one event again, up to another, 1,000 at most; also those that were never posted."""
        hook = self.mine(webhook_id)
        body = ResendSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        asked = body.validated_data
        count, following = subscriptions.send_range_again(hook, asked["after"], asked.get("until"))
        return Response({"count": count, "next": following}, status=202)


class WebhookTestView(_WebhookView):
    """Trying a webhook."""

    @extend_schema(operation_id="testWebhook", request=None, responses={202: DeliverySerializer}, tags=["webhooks"])
    def post(self, request: Request, webhook_id: UUID) -> Response:
        """Post an event `webhook.test` there, once; the log of deliveries tells how it went."""
        return Response(DeliverySerializer(subscriptions.send_test(self.mine(webhook_id))).data, status=202)
