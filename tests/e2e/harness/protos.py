"""The gRPC services of schema/proto as python calls; generated with protoc, no grpc_tools needed."""
import importlib
import os
import subprocess
import sys

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

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

    def client(self, address, credentials=None):
        return Client(self, address, credentials)


class Client:
    """One channel, cleartext without credentials; every call names its tenant and further metadata."""

    def __init__(self, protos, address, credentials=None):
        self.protos = protos
        # a channel of its own: without this, equal channels share connections and state
        options = [("grpc.use_local_subchannel_pool", 1)]
        self.channel = grpc.secure_channel(address, credentials, options) if credentials else \
            grpc.insecure_channel(address, options)

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.channel.close()

    def call(self, name):
        path, module, request, response = SERVICES[name]
        messages = importlib.import_module(module)
        return self.channel.unary_unary(path, request_serializer=getattr(messages, request).SerializeToString,
                                        response_deserializer=getattr(messages, response).FromString)

    def submit(self, tenant=None, metadata=(), timeout=60, token=None, **fields):
        return self.call("SubmitCommand")(self.protos.command.SubmitCommandRequest(**fields), timeout=timeout,
                                          metadata=call_metadata(tenant, token, metadata))

    def query(self, tenant_id="", view_type="", uqf=b"{}", metadata=(), timeout=60, token=None):
        message = self.protos.query.ExecuteQueryRequest(tenant_id=tenant_id, view_type=view_type, uqf=uqf)
        return self.call("ExecuteQuery")(message, timeout=timeout, metadata=call_metadata(None, token, metadata))

    def unary(self, path, message=b"", metadata=(), timeout=60):
        """Any method, with the message as bytes."""
        return self.channel.unary_unary(path)(message, timeout=timeout, metadata=tuple(metadata))


def call_metadata(tenant, token, more):
    own = []
    if tenant is not None:
        own.append(("x-tenant-id", tenant))
    if token is not None:
        own.append(("authorization", f"Bearer {token}"))
    return tuple(own) + tuple(more)


class Descriptors:
    """Messages by their full names, from a FileDescriptorSet and not from generated code: python's `grpc` is
    another package than the proto packages grpc.health and grpc.reflection."""

    def __init__(self, files):
        self.pool = descriptor_pool.DescriptorPool()
        for f in files:
            self.pool.Add(f)
        self.factory = message_factory.MessageFactory(self.pool)

    @classmethod
    def of_schema(cls, out):
        path = os.path.join(out, "schema.bin")
        names = [os.path.relpath(os.path.join(at, f), PROTO) for at, _, files in os.walk(PROTO) for f in files]
        subprocess.run(["protoc", f"--proto_path={PROTO}", f"--descriptor_set_out={path}", *names], check=True)
        with open(path, "rb") as f:
            return cls(descriptor_pb2.FileDescriptorSet.FromString(f.read()).file)

    def __call__(self, name):
        return self.factory.GetPrototype(self.pool.FindMessageTypeByName(name))
