"""Send each trade's life to a tracing system as one trace, where OTEL_EXPORTER_OTLP_ENDPOINT is set.

Every step of a trade is a log line with the ids of its trades, in whichever process it happens. A trade's id is a UUID,
and so is a trace's: the step becomes a span in the trace of that id. Nothing has to travel through rings, batches or
the exchange for the steps to meet, and a step that was for a hundred trades is in a hundred traces.
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
    """Random ids, except for this thread's next root, whose ids come from its trade."""

    root: UUID | None = None

    def generate_trace_id(self) -> int:
        return self.root.int if self.root else super().generate_trace_id()

    def generate_span_id(self) -> int:
        return _root_span(self.root) if self.root else super().generate_span_id()


class Traces:
    """A structlog processor: passes every event on as it is, and makes spans of those about trades."""

    def __init__(self, process: str, exporter: SpanProcessor) -> None:
        self._ids = _Ids()
        provider = TracerProvider(
            resource=Resource.create({"service.name": "brokerage", "service.instance.id": process}),
            id_generator=self._ids,
        )
        provider.add_span_processor(exporter)
        self._tracer = provider.get_tracer("brokerage")

    def __call__(self, logger: Any, method: str, event: dict[str, Any]) -> dict[str, Any]:
        """Never raises: a trace is worth less than what is traced."""
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
    """The span that a trade's other spans hang on: the random half of its id."""
    return trade.int & ((1 << SPAN_BITS) - 1)


def to_endpoint(process: str) -> Traces:
    """Traces that go to the OTLP endpoint in the environment, in batches, from a thread of their own."""
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    return Traces(process, BatchSpanProcessor(OTLPSpanExporter()))
