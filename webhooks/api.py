"""The REST API of webhooks."""

from functools import partial
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
from web.drf import CustomerView, PageQuery, created, idempotency_key, page
from web.serializers import StrictSerializer, TextField, WholeNumberField, WordField, moment_field, shown, validated
from webhooks import subscriptions
from webhooks.models import Delivery, Webhook


class EventTypesField(serializers.ListField):
    """A list of event types; an empty list means all types."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(child=WordField(EVENT_TYPES), max_length=len(EVENT_TYPES), **kwargs)


class CreateWebhookSerializer(StrictSerializer):
    url = TextField(max_length=500, help_text="Where to post events: https://…, not on a private network.")
    events = EventTypesField(required=False, help_text="The event types to post; empty: all.")


class UpdateWebhookSerializer(StrictSerializer):
    url = TextField(max_length=500, required=False)
    events = EventTypesField(required=False)
    paused = serializers.BooleanField(required=False, help_text="true: stop posting for now; events are kept.")


class RotateSecretSerializer(StrictSerializer):
    overlapSeconds = WholeNumberField(
        required=False,
        min_value=0,
        max_value=subscriptions.OVERLAP_SECONDS_MAX,
        default=subscriptions.OVERLAP_SECONDS,
        help_text="How long the previous secret also signs.",
    )


class EventIdField(TextField):
    """An event's id."""

    def to_internal_value(self, data: Any) -> Cursor:  # type: ignore[override]
        try:
            return Cursor.parse(super().to_internal_value(data))
        except ValueError as error:
            raise serializers.ValidationError(f"{error}.") from None


class ResendSerializer(StrictSerializer):
    after = EventIdField(max_length=32, help_text='Start after the event with this id; "0": with the first.')
    until = EventIdField(required=False, max_length=32, help_text="The last event to resend; the newest by default.")


class ResentSerializer(serializers.Serializer[Any]):
    count = serializers.IntegerField(help_text="How many events will be resent.")
    next = serializers.CharField(
        allow_null=True, help_text="`after` of the next call; null if there are no more events."
    )


class WebhookSerializer(serializers.Serializer[Any]):
    webhookId = serializers.UUIDField(source="id")
    url = serializers.CharField()
    events = serializers.ListField(child=serializers.CharField(), help_text="The event types; empty: all.")
    status = serializers.ChoiceField(
        Webhook.Status.choices,
        help_text="`paused` by you; `failing`: your server accepts nothing, we keep trying; `ended` for good.",
    )
    statusReason = serializers.CharField(source="status_reason", allow_null=True)
    tokenId = serializers.UUIDField(
        source="token_id",
        allow_null=True,
        help_text="The token that chose its URL; the webhook ends with the token. null: created on a page.",
    )
    previousSecretUntil = moment_field(source="previous_secret_until", allow_null=True)
    createdAt = moment_field(source="created_at")


class CreatedWebhookSerializer(WebhookSerializer):
    """A webhook with its secret, which only the responses that create or rotate it contain."""

    secret = serializers.CharField(help_text="Signs the posts (Standard Webhooks). Store it: it is not shown again.")


class WebhookListSerializer(serializers.Serializer[Any]):
    results = WebhookSerializer(many=True)


class DeliverySerializer(serializers.Serializer[Any]):
    deliveryId = serializers.CharField(source="id", help_text="Increases over time.")
    eventId = serializers.CharField(source="event_id", help_text="The `webhook-id` header of the post.")
    type = serializers.CharField(help_text="The event type, such as `trade.filled` or `webhook.test`.")
    createdAt = moment_field(source="created_at")
    attempts = serializers.IntegerField()
    lastAnswer = serializers.CharField(source="answer", help_text="The result of the last attempt.")
    deliveredAt = moment_field(source="delivered_at", allow_null=True)
    nextAttemptAt = moment_field(
        source="next_at", allow_null=True, help_text="null after delivery, or when we gave up after a day."
    )


class DeliveryPageSerializer(serializers.Serializer[Any]):
    results = DeliverySerializer(many=True)
    next = serializers.CharField(allow_null=True, help_text="`cursor` of the next page; null on the last.")


class _WebhookView(CustomerView):
    scope = Token.Scope.WEBHOOKS

    def own_webhook(self, webhook_id: UUID) -> Webhook:
        """Return the customer's webhook with this id.

        Raises:
            NotFound: The customer has no such webhook.
        """
        hook = subscriptions.webhooks_of(self.customer_id).filter(id=webhook_id).first()
        if hook is None:
            raise exceptions.NotFound("You have no such webhook.")
        return hook

    def require_read(self) -> None:
        """Check that the token may read what it has posted to an address of its choice.

        Raises:
            PermissionDenied: It lacks the scope.
        """
        if READ not in self.grant.scopes:
            raise exceptions.PermissionDenied(f"This token lacks the scope “{READ}”, which a webhook also needs.")


class WebhooksView(_WebhookView):
    """A customer's webhooks."""

    @extend_schema(operation_id="listWebhooks", responses=WebhookListSerializer, tags=["webhooks"])
    def get(self, request: Request) -> Response:
        """List your webhooks, without their secrets."""
        return Response(shown(WebhookListSerializer, {"results": subscriptions.webhooks_of(self.customer_id)}))

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
        """Create a webhook: your future events are posted to its URL, signed as Standard Webhooks specifies. If your
        server does not answer with 2xx within 5 s, the event is retried with growing pauses for a day. The webhook ends
        with the token that created it."""
        self.require_read()
        key = idempotency_key(request)
        terms = validated(CreateWebhookSerializer, request.data)
        hook, replayed = subscriptions.create(
            self.customer_id, terms["url"], terms.get("events", ()), token_id=self.grant.id, key=key
        )
        return created(shown(CreatedWebhookSerializer, hook), replayed)


class WebhookView(_WebhookView):
    """One webhook."""

    @extend_schema(operation_id="getWebhook", responses=WebhookSerializer, tags=["webhooks"])
    def get(self, request: Request, webhook_id: UUID) -> Response:
        """Get one of your webhooks."""
        return Response(shown(WebhookSerializer, self.own_webhook(webhook_id)))

    @extend_schema(
        operation_id="updateWebhook", request=UpdateWebhookSerializer, responses=WebhookSerializer, tags=["webhooks"]
    )
    def patch(self, request: Request, webhook_id: UUID) -> Response:
        """Change the URL or the event types of a webhook, or pause or resume it. Events are kept while it is paused.
        With a new URL, the webhook ends with the token that chose it."""
        hook = self.own_webhook(webhook_id)
        terms = validated(UpdateWebhookSerializer, request.data)
        if "url" in terms or "events" in terms:
            self.require_read()
            subscriptions.change(hook, terms.get("url"), terms.get("events"), token_id=self.grant.id)
        if "paused" in terms:
            hook = subscriptions.pause(hook) if terms["paused"] else subscriptions.resume(hook)
        return Response(shown(WebhookSerializer, hook))

    @extend_schema(operation_id="deleteWebhook", responses={204: None}, tags=["webhooks"])
    def delete(self, request: Request, webhook_id: UUID) -> Response:
        """Delete a webhook and its delivery log."""
        subscriptions.remove(self.own_webhook(webhook_id))
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
        """Replace the secret. During the overlap both secrets sign, so `webhook-signature` has two signatures."""
        hook = self.own_webhook(webhook_id)
        terms = validated(RotateSecretSerializer, request.data or {})
        subscriptions.rotate_secret(hook, terms["overlapSeconds"])
        return Response(shown(CreatedWebhookSerializer, hook))


class DeliveriesView(_WebhookView):
    """The delivery log of a webhook."""

    @extend_schema(
        operation_id="listDeliveries", parameters=[PageQuery], responses=DeliveryPageSerializer, tags=["webhooks"]
    )
    def get(self, request: Request, webhook_id: UUID) -> Response:
        """List the deliveries of a webhook, newest first."""
        parameters = self.list_query(PageQuery)
        rows = Delivery.objects.filter(webhook=self.own_webhook(webhook_id))
        answer: dict[str, Any] = page(rows, "id", parameters, partial(shown, DeliverySerializer))
        return Response(answer)


class ResendDeliveryView(_WebhookView):
    """Resending one delivery."""

    @extend_schema(operation_id="resendDelivery", request=None, responses={202: DeliverySerializer}, tags=["webhooks"])
    def post(self, request: Request, webhook_id: UUID, delivery_id: int) -> Response:
        """Resend a delivery with the same `webhook-id`, whatever its outcome was."""
        hook = self.own_webhook(webhook_id)
        delivery = Delivery.objects.filter(webhook=hook, id=delivery_id).first()
        if delivery is None:
            raise exceptions.NotFound("This webhook has no such delivery.")
        return Response(shown(DeliverySerializer, subscriptions.resend(hook, delivery)), status=202)


class ResendView(_WebhookView):
    """Resending a range of events."""

    @extend_schema(
        operation_id="resendEvents", request=ResendSerializer, responses={202: ResentSerializer}, tags=["webhooks"]
    )
    def post(self, request: Request, webhook_id: UUID) -> Response:
        """Resend up to 1,000 of your events from a range, including events that were never posted. A hundred events
        count against the rate limit as one request."""
        hook = self.own_webhook(webhook_id)
        terms = validated(ResendSerializer, request.data)
        events, following = subscriptions.find_range(hook, terms["after"], terms.get("until"))
        self.count_rows(len(events))
        subscriptions.resend_events(hook, events)
        return Response({"count": len(events), "next": following}, status=202)


class WebhookTestView(_WebhookView):
    """Testing a webhook."""

    @extend_schema(operation_id="testWebhook", request=None, responses={202: DeliverySerializer}, tags=["webhooks"])
    def post(self, request: Request, webhook_id: UUID) -> Response:
        """Post one `webhook.test` event. The delivery log shows the result."""
        return Response(shown(DeliverySerializer, subscriptions.send_test(self.own_webhook(webhook_id))), status=202)
