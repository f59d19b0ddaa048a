"""Takes OTLP over HTTP until all of the targets at ADDRESS... was heard of, and compares what came with their pages:
from_prometheus.py PORT ADDRESS...

Reads the messages with opentelemetry-proto, an implementation of its own."""

import gzip
import http.server
import sys
import threading
import urllib.request

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.metrics.v1.metrics_pb2 import AGGREGATION_TEMPORALITY_CUMULATIVE

port, addresses = int(sys.argv[1]), sys.argv[2:]
REPORT = ("up", "scrape_")
targets, reported = {}, set()
complete = threading.Event()


def attributes(of):
    return {pair.key: pair.value.string_value for pair in of}


def take(request):
    for resource in request.resource_metrics:
        told = attributes(resource.resource.attributes)
        instance = told["service.instance.id"]
        host, at = instance.rsplit(":", 1)
        assert told["service.name"] == "job", told
        assert (told["server.port"], told["url.scheme"]) == (at, "http"), told
        # A host that means something else to everybody is no address.
        assert "server.address" not in told, told
        for scope in resource.scope_metrics:
            assert scope.scope.name.endswith("receiver/prometheusreceiver"), scope.scope
            for metric in scope.metrics:
                if metric.name.startswith(REPORT):
                    # A scrape tells of itself after its page.
                    reported.add(instance)
                else:
                    targets.setdefault(instance, {}).setdefault(metric.name, []).append(metric)
    if all(address in targets and address in reported for address in addresses):
        complete.set()


class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        assert self.path == "/v1/metrics", self.path
        take(ExportMetricsServiceRequest.FromString(body))
        self.send_response(200)
        self.send_header("Content-Type", "application/x-protobuf")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


def families(address):
    """Type, help, and the lines of samples of each family on a page."""
    with urllib.request.urlopen(f"http://{address}/metrics") as page:
        lines = page.read().decode().splitlines()
    found, name = {}, None
    for line in lines:
        if line.startswith("# HELP "):
            name, text = line[7:].split(" ", 1)
            found[name] = {"help": text.replace("\\n", "\n").replace("\\\\", "\\"), "samples": []}
        elif line.startswith("# TYPE "):
            name, kind = line[7:].split(" ", 1)
            found.setdefault(name, {"help": "", "samples": []})["type"] = kind
        elif line:
            found[name]["samples"].append(line)
    return found


def check(name, family, metric):
    kind, data = family["type"], metric.WhichOneof("data")
    assert metric.description == family["help"], (name, metric.description)
    assert attributes(metric.metadata) == {"prometheus.type": kind.replace("untyped", "unknown")}, (name, metric.metadata)
    expected = {"counter": "sum", "gauge": "gauge", "untyped": "gauge", "histogram": "histogram", "summary": "summary"}
    assert data == expected[kind], (name, data)
    points = getattr(metric, data).data_points
    if kind == "counter":
        assert metric.sum.is_monotonic and metric.sum.aggregation_temporality == AGGREGATION_TEMPORALITY_CUMULATIVE
    for point in points:
        assert point.time_unix_nano > 0 and point.start_time_unix_nano == 0, point
        keys = [pair.key for pair in point.attributes]
        assert len(keys) == len(set(keys)) and not {"le", "quantile", "job", "instance"} & set(keys), keys
        if kind == "histogram":
            assert len(point.bucket_counts) == len(point.explicit_bounds) + 1, point
            assert sum(point.bucket_counts) == point.count, point
            assert list(point.explicit_bounds) == sorted(set(point.explicit_bounds)), point
            assert point.HasField("sum"), point
        if kind == "summary":
            assert all(0 <= at.quantile <= 1 for at in point.quantile_values), point
    distinct = {tuple(sorted(attributes(point.attributes).items())) for point in points}
    assert len(distinct) == len(points), f"{name}: a series has one point in a scrape"
    marks = {"histogram": f"{name}_count", "summary": f"{name}_count"}
    samples = [line for line in family["samples"] if line.startswith(marks.get(kind, name))]
    assert len(points) <= len(samples), (name, len(points), len(samples))


server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler)
failures = []
server.handle_error = lambda *_: failures.append(sys.exc_info()[1])
threading.Thread(target=server.serve_forever, daemon=True).start()
print("listening", flush=True)
heard = complete.wait(60)
if failures or not heard:
    sys.exit(f"{failures}, heard of {list(targets)}")
kinds = {}
for address in addresses:
    page, metrics = families(address), dict(targets[address])
    for name, family in page.items():
        if family["samples"] and name in metrics:
            for metric in metrics.pop(name):
                check(name, family, metric)
            kinds[family["type"]] = kinds.get(family["type"], 0) + 1
    # Parts that were left over would have names of their own.
    left = {name: [metric.WhichOneof("data") for metric in of] for name, of in metrics.items()}
    assert not left, f"{address}: {left}"
print("kinds", " ".join(f"{kind}={count}" for kind, count in sorted(kinds.items())), flush=True)
