"""The REST API of events."""

from typing import Any

from django.conf import settings
from django.utils.encoding import iri_to_uri
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from feed.reader import Event
from trades.api import TradeSerializer
from web.drf import CustomerView, StrictSerializer, TextField, moment_field


class EventSerializer(serializers.Serializer):
    eventId = serializers.CharField(source="id", help_text="Opaque. Ids sort in the order of the events.")
    type = serializers.CharField(help_text="`trade.placed`, `trade.in_progress`, `trade.filled` or `trade.rejected`.")
    at = moment_field(help_text="When it happened.")
    trade = TradeSerializer(help_text="The trade as it was then.")


def event_body(event: Event) -> dict[str, Any]:
    """An event as streams and webhooks carry it."""
    return dict(EventSerializer(event).data)


class EventQuerySerializer(StrictSerializer):
    after = TextField(required=False, max_length=32, help_text="An event's id, as `Last-Event-ID`; 0: from the first.")


class EventsView(CustomerView):
    """The customer's feed, which the `stream` processes serve."""

    @extend_schema(
        operation_id="streamEvents",
        parameters=[EventQuerySerializer],
        responses={
            (200, "text/event-stream"): OpenApiResponse(str, "Server-sent events, without end."),
            307: OpenApiResponse(None, "The stream is at the address in `Location`."),
        },
        tags=["events"],
    )
    def get(self, request: Request) -> Response:
        """Your events as they happen, as server-sent events: `id`, `event` (`trade.placed`, `trade.in_progress`,
        `trade.filled`, `trade.rejected`) and `data`. With `Last-Event-ID` those after it come first: none is missing
        and none comes twice. The event streams are served apart: call there, with the same token."""
        query = EventQuerySerializer(data=request.query_params.dict())
        query.is_valid(raise_exception=True)
        asked = f"?after={query.validated_data['after']}" if "after" in query.validated_data else ""
        return Response(status=307, headers={"Location": iri_to_uri(f"{settings.STREAM_URL}/api/v1/events{asked}")})
