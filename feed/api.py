"""The REST API of events: pages of events, and a redirect to the stream."""

from typing import Any

from django.conf import settings
from django.utils.encoding import iri_to_uri
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from feed import reader
from feed.reader import EVENT_TYPES, Cursor, Event
from trades.api import TradeSerializer
from trades.models import CorporateAction
from web.drf import PAGE_SIZE, PAGE_SIZE_MAX, CustomerView
from web.serializers import StrictSerializer, TextField, moment_field, money_field, shown, validated


class CorporateActionSerializer(serializers.Serializer[Any]):
    """The effect of a corporate action on the account."""

    actionId = serializers.UUIDField(source="action.id")
    kind = serializers.ChoiceField(CorporateAction.Kind.choices, source="action.kind")
    stockTicker = serializers.CharField(source="action.ticker")
    newTicker = serializers.CharField(
        source="action.new_ticker", help_text="The new ticker after a ticker change; otherwise empty."
    )
    exDate = serializers.DateField(source="action.ex_date")
    payDate = serializers.DateField(source="action.pay_date", allow_null=True, help_text="For a dividend.")
    amountPerShare = money_field(
        source="action.amount_per_share", allow_null=True, help_text="The dividend per share, USD."
    )
    numerator = serializers.IntegerField(
        source="action.numerator", allow_null=True, help_text="In a split, `denominator` shares become this many."
    )
    denominator = serializers.IntegerField(source="action.denominator", allow_null=True)
    shares = serializers.IntegerField(help_text="The shares that you held before the ex-date or the split.")
    sharesAfter = serializers.IntegerField(source="shares_after", help_text="Your shares afterwards.")
    amount = money_field(source="cash", help_text="The dividend, or cash in lieu of a fraction of a share, USD.")


class EventSerializer(serializers.Serializer[Any]):
    eventId = serializers.CharField(source="id", help_text="Opaque. Ids sort in the order of the events.")
    type = serializers.ChoiceField(EVENT_TYPES)
    at = moment_field(help_text="When it happened.")
    trade = TradeSerializer(
        allow_null=True, help_text="The trade as it was then; null if the event is not about a trade."
    )
    corporateAction = CorporateActionSerializer(
        source="entitlement",
        allow_null=True,
        help_text="For `dividend.paid`, `split.applied` and `ticker.changed`; otherwise null.",
    )


class EventPageSerializer(serializers.Serializer[Any]):
    results = EventSerializer(many=True)
    next = serializers.CharField(allow_null=True, help_text="`after` of the next page; null on the last page.")


def event_body(event: Event) -> dict[str, Any]:
    """Return the JSON object of an event, which is the same in pages, streams and webhooks."""
    return shown(EventSerializer, event)


class EventQuerySerializer(StrictSerializer):
    after = TextField(
        required=False, max_length=32, help_text="Start after the event with this id, as `Last-Event-ID`; 0: the first."
    )
    limit = serializers.IntegerField(
        required=False, min_value=1, max_value=PAGE_SIZE_MAX, default=PAGE_SIZE, help_text="The size of a page."
    )

    def validate_after(self, after: str) -> str:
        try:
            return str(Cursor.parse(after))
        except ValueError as error:
            raise serializers.ValidationError(f"{error}.") from None


def event_page(customer_id: int, after: str | None, limit: int) -> dict[str, Any]:
    """Return a customer's events after one of them, oldest first, exactly as a stream would send them.

    Raises:
        ValueError: `after` is not an event's id, or no event can have this id yet.
    """
    cursor = reader.start_after("0" if after is None else after)
    (events,) = reader.read([(customer_id, cursor)], reader.latest_cursor(), limit + 1)
    page = events[:limit]
    return {"results": [event_body(event) for event in page], "next": page[-1].id if len(events) > limit else None}


def wants_json(accept: str) -> bool:
    """Return whether the `Accept` header asks for a page rather than a stream."""
    return "application/json" in accept and "text/event-stream" not in accept


class EventsView(CustomerView):
    """The customer's feed."""

    @extend_schema(
        operation_id="listEvents",
        parameters=[
            EventQuerySerializer,
            OpenApiParameter(
                "Last-Event-ID",
                str,
                OpenApiParameter.HEADER,
                description="For a stream: like `after`, which it overrides.",
            ),
        ],
        responses={
            (200, "application/json"): EventPageSerializer,
            (200, "text/event-stream"): OpenApiResponse(str, "Server-sent events, without end."),
            307: OpenApiResponse(None, "The stream is at the address in `Location`."),
        },
        tags=["events"],
    )
    def get(self, request: Request) -> Response:
        """List or stream your events. With `Accept: application/json` you get a page of events, oldest first. Otherwise
        you get a stream of server-sent events (`id`, `event` and `data`) as they happen. With `Last-Event-ID` the
        stream begins after that event, without gaps or duplicates. Streams are served at a different address: follow
        the redirect and send the same token."""
        parameters = validated(EventQuerySerializer, request.query_params.dict())
        if wants_json(request.headers.get("Accept", "")):
            self.count_rows(parameters["limit"])
            try:
                return Response(event_page(self.customer_id, parameters.get("after"), parameters["limit"]))
            except ValueError as error:
                raise serializers.ValidationError({"after": f"{error}."}) from None
        after = f"?after={request.query_params['after']}" if "after" in parameters else ""
        return Response(status=307, headers={"Location": iri_to_uri(f"{settings.STREAM_URL}/api/v1/events{after}")})
