"""The REST API of webhooks."""

from typing import Any
from uuid import UUID

from drf_spectacular.utils import extend_schema
from rest_framework import exceptions, serializers
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.models import Token
from web.drf import CustomerView, PageQuery, StrictSerializer, TextField, moment_field, page
from webhooks import subscriptions
from webhooks.models import Delivery, Webhook


class CreateWebhookSerializer(StrictSerializer):
    url = TextField(max_length=500, help_text="Where events are posted: https://…, not inside a private network.")


class WebhookSerializer(serializers.Serializer):
    webhookId = serializers.UUIDField(source="id")
    url = serializers.CharField()
    createdAt = moment_field(source="created_at")


class CreatedWebhookSerializer(WebhookSerializer):
    """A webhook as it is answered once, with its secret."""

    secret = serializers.CharField(help_text="Signs what is posted (Standard Webhooks). Shown once.")


class WebhookListSerializer(serializers.Serializer):
    results = WebhookSerializer(many=True)


class DeliverySerializer(serializers.Serializer):
    deliveryId = serializers.CharField(source="id", help_text="Grows with time.")
    eventId = serializers.CharField(source="event_id", help_text="`webhook-id` of what is posted.")
    type = serializers.CharField(help_text="`trade.filled` and so on; `webhook.test`.")
    createdAt = moment_field(source="created_at")
    attempts = serializers.IntegerField()
    lastAnswer = serializers.CharField(source="answer", help_text="What the last attempt met with.")
    deliveredAt = moment_field(source="delivered_at", allow_null=True)
    nextAttemptAt = moment_field(
        source="next_at", allow_null=True, help_text="Null once it was delivered, or given up after a day."
    )


class DeliveryPageSerializer(serializers.Serializer):
    results = DeliverySerializer(many=True)
    next = serializers.CharField(allow_null=True, help_text="`cursor` of the next page; null on the last.")


class _WebhookView(CustomerView):
    scope = Token.Scope.TRADE

    def mine(self, webhook_id: UUID) -> Webhook:
        hook = Webhook.objects.filter(customer_id=self.customer_id, id=webhook_id).first()
        if hook is None:
            raise exceptions.NotFound("You have no such webhook.")
        return hook


class WebhooksView(_WebhookView):
    """A customer's webhooks."""

    @extend_schema(operation_id="listWebhooks", responses=WebhookListSerializer, tags=["events"])
    def get(self, request: Request) -> Response:
        """Your webhooks, without their secrets."""
        hooks = Webhook.objects.filter(customer_id=self.customer_id).order_by("id")
        return Response(WebhookListSerializer({"results": hooks}).data)

    @extend_schema(
        operation_id="createWebhook",
        request=CreateWebhookSerializer,
        responses={201: CreatedWebhookSerializer},
        tags=["events"],
    )
    def post(self, request: Request) -> Response:
        """Have your events posted to an address, from now on, signed as Standard Webhooks specifies. What is not
        answered 2xx within 5 s is posted again, with growing pauses, for a day."""
        body = CreateWebhookSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        hook = subscriptions.add(self.customer_id, body.validated_data["url"])
        return Response(CreatedWebhookSerializer(hook).data, status=201)


class WebhookView(_WebhookView):
    """One webhook."""

    @extend_schema(operation_id="getWebhook", responses=WebhookSerializer, tags=["events"])
    def get(self, request: Request, webhook_id: UUID) -> Response:
        """One of your webhooks."""
        return Response(WebhookSerializer(self.mine(webhook_id)).data)

    @extend_schema(operation_id="deleteWebhook", responses={204: None}, tags=["events"])
    def delete(self, request: Request, webhook_id: UUID) -> Response:
        """Post nothing there any more, and forget its deliveries."""
        self.mine(webhook_id).delete()
        return Response(status=204)


class DeliveriesView(_WebhookView):
    """What was posted."""

    @extend_schema(
        operation_id="listDeliveries", parameters=[PageQuery], responses=DeliveryPageSerializer, tags=["events"]
    )
    def get(self, request: Request, webhook_id: UUID) -> Response:
        """The log of a webhook's deliveries, newest first."""
        query = PageQuery(data=request.query_params.dict())
        query.is_valid(raise_exception=True)
        rows = Delivery.objects.filter(webhook=self.mine(webhook_id))
        answer: dict[str, Any] = page(rows, "id", query.validated_data, lambda row: DeliverySerializer(row).data)
        return Response(answer)


class WebhookTestView(_WebhookView):
    """Trying a webhook."""

    @extend_schema(operation_id="testWebhook", request=None, responses={202: DeliverySerializer}, tags=["events"])
    def post(self, request: Request, webhook_id: UUID) -> Response:
        """Post an event `webhook.test` there; the log of deliveries tells how it went."""
        return Response(DeliverySerializer(subscriptions.test(self.mine(webhook_id))).data, status=202)
