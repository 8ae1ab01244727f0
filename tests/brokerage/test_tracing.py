"""A trade's steps form one trace, across all processes."""

import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from uuid import UUID, uuid4

import pytest
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from brokerage.tracing import Traces


def traces_to(exporter: InMemorySpanExporter, process: str) -> Traces:
    return Traces(process, SimpleSpanProcessor(exporter))


def of_trade(exporter: InMemorySpanExporter, trade: UUID) -> list[ReadableSpan]:
    return [span for span in exporter.get_finished_spans() if span.context.trace_id == trade.int]


def test_steps_in_several_processes_and_batches_meet_in_the_trades_trace() -> None:
    exporter = InMemorySpanExporter()
    web, lanes = traces_to(exporter, "web1"), traces_to(exporter, "lane1")
    first, second = uuid4(), uuid4()
    web(None, "info", {"event": "placed", "trades": [str(first)], "customer": 5, "level": "info"})
    web(None, "info", {"event": "placed", "trades": [str(second)], "customer": 6})
    lanes(None, "info", {"event": "claimed", "trades": [str(first), str(second)]})
    web(None, "info", {"event": "reported", "trades": [str(first)]})
    lanes(None, "info", {"event": "filled", "trades": [str(first)]})
    spans = of_trade(exporter, first)
    assert [span.name for span in spans] == ["placed", "claimed", "reported", "filled"]
    (root, *children) = spans
    assert root.parent is None
    assert {span.parent.span_id for span in children if span.parent} == {root.context.span_id}
    assert dict(root.attributes or {}) == {"customer": "5", "trade.id": str(first)}
    assert [span.name for span in of_trade(exporter, second)] == ["placed", "claimed"]


@pytest.mark.parametrize(
    "event", [{"event": "sweeping"}, {"event": "x", "trades": ["no id"]}, {"event": "x", "trades": None}]
)
def test_spans_without_a_trade_are_passed_on(event: dict[str, object]) -> None:
    exporter = InMemorySpanExporter()
    assert traces_to(exporter, "sweep1")(None, "info", dict(event)) == event
    assert exporter.get_finished_spans() == ()


def test_threads_that_place_at_the_same_time_do_not_mix_their_trades() -> None:
    exporter = InMemorySpanExporter()
    web = traces_to(exporter, "web1")
    trades = [uuid4() for _ in range(200)]
    barrier = threading.Barrier(8)

    def place(number: int) -> None:
        barrier.wait()
        for trade in trades[number::8]:
            web(None, "info", {"event": "placed", "trades": [str(trade)]})

    threads = [threading.Thread(target=place, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(len(of_trade(exporter, trade)) == 1 for trade in trades)


def test_spans_are_sent_as_otlp() -> None:
    received: list[bytes] = []

    class Collector(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            received.append(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    trade = uuid4()
    with HTTPServer(("127.0.0.1", 0), Collector) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        endpoint = f"http://127.0.0.1:{server.server_address[1]}/v1/traces"
        traces = Traces("web1", SimpleSpanProcessor(OTLPSpanExporter(endpoint=endpoint)))
        traces(None, "info", {"event": "placed", "trades": [str(trade)]})
        server.shutdown()
    request = ExportTraceServiceRequest.FromString(received[0])
    (span,) = request.resource_spans[0].scope_spans[0].spans
    assert span.trace_id == trade.bytes
    assert span.name == "placed"
