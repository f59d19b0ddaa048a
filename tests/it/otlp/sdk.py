"""Sends metrics of every kind, spans and log records with the OpenTelemetry SDK: sdk.py grpc|http ENDPOINT SERVICE."""

import logging
import sys

from opentelemetry import metrics, trace
from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import SimpleLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.metrics.view import ExponentialBucketHistogramAggregation, View
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.trace import Status, StatusCode

protocol, endpoint, service = sys.argv[1:]
if protocol == "grpc":
    from opentelemetry.exporter.otlp.proto.grpc._log_exporter import OTLPLogExporter
    from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter
    from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
    from grpc import Compression

    options = {"endpoint": endpoint, "insecure": True, "compression": Compression.Gzip}
    path = lambda signal: options
else:
    from opentelemetry.exporter.otlp.proto.http import Compression
    from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
    from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

    path = lambda signal: {"endpoint": f"{endpoint}/v1/{signal}", "compression": Compression.Gzip}

failures = []


class Failures(logging.Handler):
    def emit(self, record):
        failures.append(record.getMessage())


# The exporters report failures nowhere else.
logging.getLogger().addHandler(Failures(level=logging.WARNING))

resource = Resource.create({"service.name": service, "service.namespace": "eu", "service.instance.id": "i-1", "zone": "z"})
tracers = TracerProvider(resource=resource)
tracers.add_span_processor(SimpleSpanProcessor(OTLPSpanExporter(**path("traces"))))
loggers = LoggerProvider(resource=resource)
loggers.add_log_record_processor(SimpleLogRecordProcessor(OTLPLogExporter(**path("logs"))))
reader = PeriodicExportingMetricReader(OTLPMetricExporter(**path("metrics")), export_interval_millis=3_600_000)
views = [View(instrument_name="latency.exponential", aggregation=ExponentialBucketHistogramAggregation())]
meters = MeterProvider([reader], resource=resource, views=views)

meter = meters.get_meter("lib", "1.2")
counter = meter.create_counter("requests", unit="1", description="Requests.")
up_down = meter.create_up_down_counter("open.connections")
histogram = meter.create_histogram("latency", unit="s", explicit_bucket_boundaries_advisory=[0.1, 1.0])
exponential = meter.create_histogram("latency.exponential", unit="s")
meter.create_observable_gauge("temperature", [lambda _: [metrics.Observation(21.5, {"room": "a"})]], unit="Cel")

tracer = tracers.get_tracer("lib", "1.2")
with tracer.start_as_current_span("outer", attributes={"n": 7, "list": ["a", "b"]}) as outer:
    with tracer.start_as_current_span("inner", links=[trace.Link(outer.get_span_context())]) as inner:
        inner.add_event("half", {"ok": True})
        inner.set_status(Status(StatusCode.ERROR, "went wrong"))
        counter.add(3, {"path": "/a"})
        counter.add(2, {"path": "/b"})
        up_down.add(4)
        up_down.add(-1)
        for value in (0.05, 0.5, 5.0):
            histogram.record(value, {"path": "/a"})
            exponential.record(value)
        loggers.get_logger("lib").emit(
            LogRecord(body="something happened", severity_number=SeverityNumber.WARN, severity_text="WARN", attributes={"k": "v"})
        )

for provider in (meters, tracers, loggers):
    provider.shutdown()
if failures:
    sys.exit("\n".join(failures))
