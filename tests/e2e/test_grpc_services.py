"""What listen.grpc answers itself: health (Check and Watch) and server reflection, in both versions, as tools
use it that know nothing of the proto files; and calls of several messages that go wrong."""
import struct

import grpc
import pytest
from google.protobuf import descriptor_pb2

from harness.h2 import DATA, END_HEADERS, END_STREAM, HEADERS, RST, WINDOW, Client, frame, settings
from harness.protos import Descriptors
from harness.wait import until

COMMANDS = "aggregate.gateway.v1.CommandService"
SERVICES = [COMMANDS, "grpc.health.v1.Health", "grpc.reflection.v1.ServerReflection",
            "grpc.reflection.v1alpha.ServerReflection"]
WATCH = "/grpc.health.v1.Health/Watch"
REFLECT = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo"
SERVING, NOT_SERVING, SERVICE_UNKNOWN = 1, 2, 3


@pytest.fixture
def gw(gateway):
    return gateway()


@pytest.fixture
def channel(gw):
    with grpc.insecure_channel(gw.replicas[0].grpc, options=[("grpc.use_local_subchannel_pool", 1)]) as channel:
        yield channel


@pytest.fixture
def health(channel, messages):
    """health(service) and health.watch(service)."""
    request, response = (messages(f"grpc.health.v1.HealthCheck{x}") for x in ("Request", "Response"))
    kw = dict(request_serializer=request.SerializeToString, response_deserializer=response.FromString)
    check, watch = channel.unary_unary("/grpc.health.v1.Health/Check", **kw), channel.unary_stream(WATCH, **kw)
    call = lambda service="", **kw: check(request(service=service), timeout=60, **kw).status
    call.watch = lambda service="", timeout=20: watch(request(service=service), timeout=timeout)
    return call


# ---- health


def test_check(health):
    assert health() == SERVING and health(COMMANDS) == SERVING
    for service in ("other", "aggregate.gateway.v1", "grpc.health.v1.Health"):
        with pytest.raises(grpc.RpcError) as e:
            health(service)
        assert e.value.code() is grpc.StatusCode.NOT_FOUND and e.value.details() == "unknown service"


def test_watch_tells_of_the_drain(gw, health):
    watches = [health.watch(), health.watch(COMMANDS), health.watch("other")]
    assert [next(w).status for w in watches] == [SERVING, SERVING, SERVICE_UNKNOWN]
    assert watches[0].initial_metadata()
    gw.replicas[0].process.signal(15)
    for w in watches[:2]:
        assert next(w).status == NOT_SERVING
    for w in watches:
        with pytest.raises(grpc.RpcError) as e:
            next(w)
        assert e.value.code() is grpc.StatusCode.UNAVAILABLE
    assert gw.replicas[0].process.popen.wait(25) == 0  # nobody waits for a watcher


def test_watch_tells_of_a_gateway_that_is_not_ready(gateway, rqlite3, messages):
    gw = gateway(store="rqlite", rqlite=rqlite3, config={"authz.max_staleness": "4s"})
    request, response = (messages(f"grpc.health.v1.HealthCheck{x}") for x in ("Request", "Response"))
    with grpc.insecure_channel(gw.replicas[0].grpc) as channel:
        kw = dict(request_serializer=request.SerializeToString, response_deserializer=response.FromString)
        watch = channel.unary_stream(WATCH, **kw)(request(), timeout=60)
        assert next(watch).status == SERVING
        for node in rqlite3.nodes:
            node.process.kill()
        assert next(watch).status == NOT_SERVING
        assert channel.unary_unary("/grpc.health.v1.Health/Check", **kw)(request(), timeout=60).status == NOT_SERVING
        watch.cancel()


def test_watch_keeps_the_time_limit_and_lets_go(gw, health):
    health()  # now it is connected
    watch = health.watch(timeout=2)
    assert next(watch).status == SERVING
    with pytest.raises(grpc.RpcError) as e:
        next(watch)
    assert e.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    watch = health.watch()
    assert next(watch).status == SERVING
    watch.cancel()
    line = 'gateway_requests_total{route="grpc.health.watch",method="POST",code="499"} '
    until(lambda: line in gw.call("GET", "/metrics", listener="admin").text, what="the watch to be let go")


# ---- reflection


class Reflection:
    """A client as grpcurl is one: one stream, a question at a time."""

    def __init__(self, channel, messages, version):
        self.request = messages(f"grpc.reflection.{version}.ServerReflectionRequest")
        response = messages(f"grpc.reflection.{version}.ServerReflectionResponse")
        self.call = channel.stream_stream(
            f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo",
            request_serializer=self.request.SerializeToString, response_deserializer=response.FromString)

    def ask(self, *questions):
        requests = [self.request(host="h", **q) for q in questions]
        answers = list(self.call(iter(requests), timeout=60))
        assert [a.original_request for a in answers] == requests and {a.valid_host for a in answers} <= {"h"}
        return answers

    def file(self, **question):
        answer, = self.ask(question)
        return [descriptor_pb2.FileDescriptorProto.FromString(f)
                for f in answer.file_descriptor_response.file_descriptor_proto]


@pytest.fixture(params=["v1", "v1alpha"])
def reflection(request, channel, messages):
    return Reflection(channel, messages, request.param)


def test_services(reflection):
    answer, = reflection.ask({"list_services": ""})
    assert sorted(s.name for s in answer.list_services_response.service) == SERVICES


def test_a_call_made_from_reflection_alone(gw, channel, reflection, nodes):
    """What grpcurl does: list, describe, build the message, call."""
    node = nodes("node")[0]
    root = gw.signin()["access_token"]
    gw.admin("POST", "/admin/tenants", root, {"id": "acme", "name": "Acme"})
    gw.route(root, aggregate_placement={"acme": "a"}, aggregate_shards={"a": [node.grpc]})
    found = Descriptors(reflection.file(file_containing_symbol=COMMANDS))
    method = found.pool.FindServiceByName(COMMANDS).FindMethodByName("SubmitCommand")
    request = found(method.input_type.full_name)(aggregate_type="order", aggregate_id="1", command_type="place",
                                                 payload=b"{}", metadata={"k": "v"})
    answer = channel.unary_unary(f"/{COMMANDS}/{method.name}")(
        request.SerializeToString(), timeout=60, metadata=[("authorization", f"Bearer {root}"), ("x-tenant-id", "acme")])
    assert found(method.output_type.full_name).FromString(answer).version == 1


def test_everything_that_is_declared_is_found(reflection, messages):
    files = {}
    for service in SERVICES:
        file, = reflection.file(file_containing_symbol=service)
        files[file.name] = file
        for dependency in file.dependency:
            assert reflection.file(file_by_filename=dependency)
    assert len(files) == 4
    for name, file in files.items():
        assert reflection.file(file_by_filename=name) == [file]
        schema = messages.pool.FindFileByName(name)
        wanted = descriptor_pb2.FileDescriptorProto()
        schema.CopyToProto(wanted)
        assert wanted.SerializeToString() == file.SerializeToString()
        symbols = []

        def walk(prefix, message):
            at = f"{prefix}.{message.name}"
            symbols.append(at)
            symbols.extend(f"{at}.{x.name}" for x in [*message.field, *message.oneof_decl, *message.enum_type])
            symbols.extend(f"{at}.{v.name}" for e in message.enum_type for v in e.value)
            for inner in message.nested_type:
                walk(at, inner)
        for message in file.message_type:
            walk(file.package, message)
        for service in file.service:
            symbols.extend(f"{file.package}.{service.name}.{m.name}" for m in service.method)
        answers = reflection.ask(*[{"file_containing_symbol": s} for s in symbols])
        for symbol, answer in zip(symbols, answers):
            assert list(answer.file_descriptor_response.file_descriptor_proto) == [file.SerializeToString()], symbol


def test_what_is_not_there(reflection):
    questions = [{"file_by_filename": "other.proto"}, {"file_by_filename": ""}, {"file_containing_symbol": "a.b"},
                 {"file_containing_symbol": ""}, {"file_containing_symbol": "aggregate.gateway.v1"},
                 {"file_containing_symbol": COMMANDS + "."}, {"file_containing_symbol": COMMANDS + ".Other"},
                 {"file_containing_symbol": "projection.gateway.v1.QueryService"},
                 {"all_extension_numbers_of_type": "other.Message"}, {"all_extension_numbers_of_type": COMMANDS},
                 {"file_containing_extension": {"containing_type": "aggregate.gateway.v1.Event", "extension_number": 1}}]
    for question, answer in zip(questions, reflection.ask(*questions)):
        assert answer.error_response.error_code == 5 and answer.error_response.error_message, question
    answer, = reflection.ask({})
    assert answer.error_response.error_code == 3
    answer, = reflection.ask({"all_extension_numbers_of_type": "aggregate.gateway.v1.Event"})
    assert answer.all_extension_numbers_response.base_type_name == "aggregate.gateway.v1.Event"
    assert not answer.all_extension_numbers_response.extension_number


def test_a_long_conversation(reflection):
    """More than the window and the output of one connection, question and answer in turn."""
    import queue
    q = queue.Queue()
    answers = reflection.call(iter(q.get, None), timeout=60)
    for _ in range(400):
        for _ in range(5):
            q.put(reflection.request(file_by_filename="command.proto"))
        assert all(next(answers).HasField("file_descriptor_response") for _ in range(5))
    q.put(None)
    assert list(answers) == []


# ---- calls of several messages that go wrong


def message(data, flag=0, length=None):
    return struct.pack(">BI", flag, len(data) if length is None else length) + data


@pytest.fixture
def short(gateway):
    """A gateway that does not wait long for a message."""
    return gateway(config={"timeouts.body": "1s"})


def rpc(c, stream, path=REFLECT, flags=0, more=b""):
    """more: frames that come with it at once, so that nothing is late."""
    block = c.block(("content-type", "application/grpc"), ("te", "trailers"), method="POST", path=path)
    c.send(frame(HEADERS, flags | END_HEADERS, stream, block) + more)


def ends(c, stream, data=None, path=REFLECT, flags=END_STREAM):
    rpc(c, stream, path, *(flags, b"") if data is None else (0, frame(DATA, flags, stream, data)))
    headers, body = c.response(stream)
    assert headers[":status"] == "200" and headers["x-correlation-id"]
    return headers["grpc-status"], body


LIST = b"\x3a\x00"
BAD = [
    ("nothing at all", REFLECT, None, "0"), ("half a message", REFLECT, message(LIST)[:-1], "3"),
    ("compressed", REFLECT, message(LIST, flag=1), "12"), ("a flag that is none", REFLECT, message(LIST, flag=7), "3"),
    ("too large", REFLECT, message(b"", length=16385), "8"), ("no protobuf", REFLECT, message(b"\xff"), "3"),
    ("nothing to watch", WATCH, None, "12"), ("half a question", WATCH, b"\0", "3"),
    ("two questions", WATCH, message(b"") * 2, "12"), ("no question", WATCH, message(b"\x0a\x05a"), "3"),
]


@pytest.mark.parametrize("name,path,data,status", BAD, ids=[b[0] for b in BAD])
def test_bad_messages(short, name, path, data, status):
    with Client(short.replicas[0].port("grpc")) as c:
        got, _ = ends(c, 1, data, path)
        assert got == status
        assert ends(c, 3, message(LIST))[0] == "0"


def test_pieces(short):
    """Cut anywhere, with several in one frame, the messages are the same."""
    data = message(LIST) * 3
    with Client(short.replicas[0].port("grpc")) as c:
        stream = 1
        whole = ends(c, stream, data)
        for at in range(1, len(data)):
            stream += 2
            rpc(c, stream, more=frame(DATA, 0, stream, data[:at]) + frame(DATA, END_STREAM, stream, data[at:]))
            headers, body = c.response(stream)
            assert (headers["grpc-status"], body) == whole


def test_messages_that_never_come(short):
    with Client(short.replicas[0].port("grpc")) as c:
        for stream, path in ((1, REFLECT), (3, WATCH)):  # none at all
            rpc(c, stream, path)
            assert c.response(stream)[0]["grpc-status"] == "4"
        rpc(c, 5, more=frame(DATA, 0, 5, message(LIST) + b"\0"))  # one, then half of one
        headers, body = c.response(5)
        assert headers["grpc-status"] == "4" and body


def test_answers_that_are_not_read(gw):
    """A caller that asks and does not read: its own call ends, others go on."""
    with Client(gw.replicas[0].port("grpc"), first=settings((4, 0))) as c:
        ask = message(b"\x1a\x0dcommand.proto") * 50
        rpc(c, 1)
        for _ in range(200):
            c.send(frame(DATA, 0, 1, ask))
        c.send(frame(WINDOW, 0, 1, struct.pack(">I", 1 << 24)) + frame(WINDOW, 0, 0, struct.pack(">I", 1 << 24)))
        headers, _ = c.response(1)
        assert headers["grpc-status"] == "8"
        c.request(3)
        c.send(frame(WINDOW, 0, 3, struct.pack(">I", 1 << 20)))
        assert c.response(3)[0][":status"] == "200"


def test_resets(gw):
    with Client(gw.replicas[0].port("grpc")) as c:
        for stream in range(1, 300, 2):
            rpc(c, stream, WATCH if stream % 4 == 1 else REFLECT)
            c.send(frame(DATA, 0, stream, message(b"")[:stream % 7]) + frame(RST, 0, stream, b"\0\0\0\x08"))
        rpc(c, 301, WATCH)
        c.send(frame(DATA, 0, 301, message(b"")))
        assert next(p for k, _, on, p in c.frames() if k == DATA and on == 301) == message(b"\x08\x01")
    gw.call("GET", "/health")
