"""Sends deltas of every kind in three rounds with the OpenTelemetry SDK: delta.py ENDPOINT SERVICE."""

import logging
import sys
import time

from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter
from opentelemetry.sdk.metrics import Counter, Histogram, MeterProvider, UpDownCounter
from opentelemetry.sdk.metrics.export import AggregationTemporality, PeriodicExportingMetricReader
from opentelemetry.sdk.metrics.view import ExponentialBucketHistogramAggregation, View
from opentelemetry.sdk.resources import Resource

endpoint, service = sys.argv[1:]
failures = []


class Failures(logging.Handler):
    def emit(self, record):
        failures.append(record.getMessage())


logging.getLogger().addHandler(Failures(level=logging.WARNING))
delta = {kind: AggregationTemporality.DELTA for kind in (Counter, UpDownCounter, Histogram)}
exporter = OTLPMetricExporter(endpoint=endpoint, insecure=True, preferred_temporality=delta)
reader = PeriodicExportingMetricReader(exporter, export_interval_millis=3_600_000)
views = [View(instrument_name="latency.exponential", aggregation=ExponentialBucketHistogramAggregation())]
meters = MeterProvider([reader], resource=Resource.create({"service.name": service}), views=views)
meter = meters.get_meter("lib")
counter = meter.create_counter("requests", unit="1")
up_down = meter.create_up_down_counter("open.connections")
histogram = meter.create_histogram("latency", unit="s", explicit_bucket_boundaries_advisory=[0.1, 1.0])
exponential = meter.create_histogram("latency.exponential", unit="s")
for number in (1, 2, 3):
    counter.add(number, {"path": "/a"})
    up_down.add(10 if number == 1 else -1)
    for value in (0.05, 0.5 * number, 5.0):
        histogram.record(value)
        exponential.record(value)
    if number == 2:
        # Comes in one interval only, between two in which it does not.
        counter.add(7, {"path": "/b"})
    time.sleep(0.05)
    if not reader.force_flush():
        failures.append("a round was not sent")
meters.shutdown()
if failures:
    sys.exit("\n".join(failures))
