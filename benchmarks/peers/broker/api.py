"""PlaceTrade: a generic view and a model serializer."""

from django.db import transaction
from rest_framework import generics, serializers

from broker.jobs import enqueue
from broker.models import Trade


class TradeSerializer(serializers.ModelSerializer):
    """A trade with the API's field names."""

    tradeId = serializers.UUIDField(source="id", read_only=True)
    stockTicker = serializers.CharField(source="ticker", max_length=16)
    createdAt = serializers.DateTimeField(source="placed_at", read_only=True)

    class Meta:
        model = Trade
        fields = ["tradeId", "stockTicker", "type", "quantity", "createdAt", "status", "reason"]
        read_only_fields = ["status", "reason"]


class PlaceTrade(generics.CreateAPIView):
    """Record a market order and enqueue its job; answer 201."""

    serializer_class = TradeSerializer

    def perform_create(self, serializer):
        with transaction.atomic():
            trade = serializer.save(customer=self.request.user)
            enqueue(trade.customer_id)
