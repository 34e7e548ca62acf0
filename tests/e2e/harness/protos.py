"""The gRPC services of schema/proto as python calls; generated with protoc, no grpc_tools needed."""
import importlib
import os
import subprocess
import sys

import grpc

from .paths import PROTO

SERVICES = {
    "SubmitCommand": ("/aggregate.gateway.v1.CommandService/SubmitCommand", "command_pb2",
                      "SubmitCommandRequest", "SubmitCommandResponse"),
    "ExecuteQuery": ("/projection.gateway.v1.QueryService/ExecuteQuery", "query_pb2",
                     "ExecuteQueryRequest", "ExecuteQueryResponse"),
}


class Protos:
    def __init__(self, out):
        files = [f for f in os.listdir(PROTO) if f.endswith(".proto")]
        subprocess.run(["protoc", f"--proto_path={PROTO}", f"--python_out={out}", *files], check=True)
        sys.path.insert(0, str(out))
        self.command = importlib.import_module("command_pb2")
        self.query = importlib.import_module("query_pb2")

    def client(self, address):
        return Client(self, address)


class Client:
    """One cleartext channel; every call names its tenant and further metadata."""

    def __init__(self, protos, address):
        self.protos = protos
        # a channel of its own: without this, equal channels share connections and state
        self.channel = grpc.insecure_channel(address, options=[("grpc.use_local_subchannel_pool", 1)])

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.channel.close()

    def call(self, name):
        path, module, request, response = SERVICES[name]
        messages = importlib.import_module(module)
        return self.channel.unary_unary(path, request_serializer=getattr(messages, request).SerializeToString,
                                        response_deserializer=getattr(messages, response).FromString)

    def submit(self, tenant=None, metadata=(), timeout=10, token=None, **fields):
        return self.call("SubmitCommand")(self.protos.command.SubmitCommandRequest(**fields), timeout=timeout,
                                          metadata=call_metadata(tenant, token, metadata))

    def query(self, tenant_id="", view_type="", uqf=b"{}", metadata=(), timeout=10, token=None):
        message = self.protos.query.ExecuteQueryRequest(tenant_id=tenant_id, view_type=view_type, uqf=uqf)
        return self.call("ExecuteQuery")(message, timeout=timeout, metadata=call_metadata(None, token, metadata))

    def unary(self, path, message=b"", metadata=(), timeout=10):
        """Any method, with the message as bytes."""
        return self.channel.unary_unary(path)(message, timeout=timeout, metadata=tuple(metadata))


def call_metadata(tenant, token, more):
    own = []
    if tenant is not None:
        own.append(("x-tenant-id", tenant))
    if token is not None:
        own.append(("authorization", f"Bearer {token}"))
    return tuple(own) + tuple(more)
