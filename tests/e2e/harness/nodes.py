"""Nodes whose every answer a test decides, in this process: one speaks gRPC, one HTTP."""
import http.server
import json
import threading
from concurrent import futures

import grpc

from .server import Server


class CommandNode:
    """CommandService on a real gRPC server; answer(request, context) makes what SubmitCommand returns."""

    def __init__(self, protos, answer):
        self.answer, self.calls = answer, []
        messages = protos.command
        handler = grpc.unary_unary_rpc_method_handler(
            self.submit, request_deserializer=messages.SubmitCommandRequest.FromString,
            response_serializer=messages.SubmitCommandResponse.SerializeToString)
        self.server = grpc.server(futures.ThreadPoolExecutor(16))
        self.server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler(
            "aggregate.gateway.v1.CommandService", {"SubmitCommand": handler})])
        self.port = self.server.add_insecure_port("127.0.0.1:0")
        self.server.start()

    def submit(self, request, context):
        self.calls.append((request, dict(context.invocation_metadata()), context.time_remaining()))
        return self.answer(request, context)

    @property
    def grpc(self):
        return f"grpc://127.0.0.1:{self.port}"

    def stop(self):
        self.server.stop(0).wait()


class HttpNode:
    """answer(path, body) → (status, body or JSON). Health checks get the status `health`, after `health_delay`
    seconds; their paths stay in `checked`."""

    def __init__(self, answer):
        node = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                status, body = node.answer(self.path, self.rfile.read(int(self.headers["content-length"])))
                body = body if isinstance(body, bytes) else json.dumps(body).encode()
                try:
                    self.send_response(status)
                    self.send_header("content-type", "application/json")
                    self.send_header("content-length", str(len(body)))
                    self.end_headers()
                    self.wfile.write(body)
                except OSError:  # the gateway has hung up
                    self.close_connection = True

            def do_GET(self):
                node.checked.append(self.path)
                node.over.wait(node.health_delay)
                self.send_response(node.health)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *args):
                pass

        self.answer, self.checked, self.over = answer, [], threading.Event()
        self.health, self.health_delay = 200, 0
        self.server = Server(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def http(self):
        return f"http://127.0.0.1:{self.server.server_port}"

    def stop(self):
        self.over.set()
        self.server.shutdown()
        self.server.server_close()
