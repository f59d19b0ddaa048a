"""An OTLP server made of grpcio, http.server and the messages of opentelemetry-proto: receiver.py HTTP-PORT [REPLY ...].

Serves gRPC on a free port, which it prints, and HTTP on the given one. The replies are for the first requests, one after the other; all
others are taken. For gRPC a reply is a code, with `:seconds` for RetryInfo, or `partial`.
Prints a line of JSON for each request.
"""

import base64
import gzip
import json
import sys
import threading
from concurrent import futures
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import grpc
from google.protobuf import json_format
from google.protobuf.duration_pb2 import Duration
from google.rpc import error_details_pb2, status_pb2
from opentelemetry.proto.collector.logs.v1 import logs_service_pb2
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2

SIGNALS = {
    "metrics": (
        "opentelemetry.proto.collector.metrics.v1.MetricsService",
        metrics_service_pb2.ExportMetricsServiceRequest,
        metrics_service_pb2.ExportMetricsServiceResponse,
        "rejected_data_points",
    ),
    "traces": (
        "opentelemetry.proto.collector.trace.v1.TraceService",
        trace_service_pb2.ExportTraceServiceRequest,
        trace_service_pb2.ExportTraceServiceResponse,
        "rejected_spans",
    ),
    "logs": (
        "opentelemetry.proto.collector.logs.v1.LogsService",
        logs_service_pb2.ExportLogsServiceRequest,
        logs_service_pb2.ExportLogsServiceResponse,
        "rejected_log_records",
    ),
}
replies = sys.argv[2:]
lock = threading.Lock()


def show(transport, signal, raw, metadata, reply):
    """Prints a request, as it came and as this library reads it."""
    message = SIGNALS[signal][1]()
    message.ParseFromString(raw)
    line = {
        "transport": transport,
        "signal": signal,
        "metadata": metadata,
        "reply": reply,
        "raw": base64.b64encode(raw).decode(),
        # Written again by this library: what it did not know would be told apart by the text.
        "again": base64.b64encode(message.SerializeToString()).decode(),
        "text": json_format.MessageToDict(message),
    }
    print(json.dumps(line), flush=True)


def export(signal):
    def handle(raw, context):
        with lock:
            reply = replies.pop(0) if replies else "ok"
            show("grpc", signal, raw, {k: str(v) for k, v in context.invocation_metadata()}, reply)
        _, _, response, rejected = SIGNALS[signal]
        if reply == "ok":
            return response()
        if reply == "partial":
            answer = response()
            setattr(answer.partial_success, rejected, 1)
            answer.partial_success.error_message = "one is enough"
            return answer
        code, _, seconds = reply.partition(":")
        code = grpc.StatusCode[code]
        if seconds:
            status = status_pb2.Status(code=code.value[0], message="come again")
            info = error_details_pb2.RetryInfo(retry_delay=Duration(seconds=int(seconds)))
            status.details.add().Pack(info)
            context.set_trailing_metadata((("grpc-status-details-bin", status.SerializeToString()),))
        context.abort(code, "come again é" if seconds else "no")

    return handle


class Http(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        signal = self.path.rsplit("/", 1)[1]
        with lock:
            if self.headers["Content-Type"] == "application/json":
                line = {"transport": "http", "signal": signal, "json": json.loads(body)}
                print(json.dumps(line), flush=True)
            else:
                show("http", signal, body, dict(self.headers), "ok")
        self.send_response(200)
        self.send_header("Content-Type", self.headers["Content-Type"])
        answer = b"{}" if self.headers["Content-Type"] == "application/json" else b""
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_):
        pass


server = grpc.server(futures.ThreadPoolExecutor(max_workers=4))
for signal, (service, *_) in SIGNALS.items():
    method = grpc.unary_unary_rpc_method_handler(
        export(signal), request_deserializer=lambda raw: raw, response_serializer=lambda message: message.SerializeToString()
    )
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, {"Export": method}),))
port = server.add_insecure_port("127.0.0.1:0")
server.start()
print(json.dumps({"port": port}), flush=True)
ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Http).serve_forever()
