"""Send the steps of each trade to a tracing system as one trace, if OTEL_EXPORTER_OTLP_ENDPOINT is set.

Every step of a trade is a log line with the ids of its trades, whatever process it happens in. Trade ids and trace ids
are both UUIDs, so the step becomes a span of the trace with that id. No trace context has to travel through rings,
batches or the exchange, and a step for a hundred trades is in a hundred traces.
"""

import threading
import time
from collections.abc import Mapping
from typing import Any
from uuid import UUID

from opentelemetry.context import Context
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, set_span_in_context

ROOT = "placed"
LEFT_OUT = {"trades", "event", "level", "timestamp"}
SPAN_BITS = 64


class _Ids(threading.local, RandomIdGenerator):
    """Random ids, except for this thread's next root span, whose ids come from its trade."""

    root: UUID | None = None

    def generate_trace_id(self) -> int:
        return self.root.int if self.root else super().generate_trace_id()

    def generate_span_id(self) -> int:
        return _root_span(self.root) if self.root else super().generate_span_id()


class Traces:
    """A structlog processor that makes spans of events about trades, and passes every event on unchanged."""

    def __init__(self, process: str, exporter: SpanProcessor) -> None:
        self._ids = _Ids()
        provider = TracerProvider(
            resource=Resource.create({"service.name": "brokerage", "service.instance.id": process}),
            id_generator=self._ids,
        )
        provider.add_span_processor(exporter)
        self._tracer = provider.get_tracer("brokerage")

    def __call__(self, logger: Any, method: str, event: dict[str, Any]) -> dict[str, Any]:
        """Make spans of the event. Never raises, because tracing must not break what it traces."""
        for trade in event.get("trades") or ():
            try:
                self._span(str(event["event"]), UUID(str(trade)), event)
            except (ValueError, TypeError):
                continue
        return event

    def _span(self, name: str, trade: UUID, event: Mapping[str, Any]) -> None:
        attributes = {key: str(value) for key, value in event.items() if key not in LEFT_OUT}
        attributes["trade.id"] = str(trade)
        now = time.time_ns()
        if name == ROOT:
            self._ids.root = trade
            try:
                span = self._tracer.start_span(name, Context(), start_time=now, attributes=attributes)
            finally:
                self._ids.root = None
        else:
            parent = SpanContext(trade.int, _root_span(trade), is_remote=True, trace_flags=TraceFlags(1))
            context = set_span_in_context(NonRecordingSpan(parent), Context())
            span = self._tracer.start_span(name, context, start_time=now, attributes=attributes)
        span.end(now + 1)


def _root_span(trade: UUID) -> int:
    """Return the id of a trade's root span: the random half of the trade's id."""
    return trade.int & ((1 << SPAN_BITS) - 1)


def to_endpoint(process: str) -> Traces:
    """Return a processor that sends spans to the OTLP endpoint in the environment, in batches, from its own thread."""
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    return Traces(process, BatchSpanProcessor(OTLPSpanExporter()))
