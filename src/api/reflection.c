#include "api/reflection.h"

#include "api/descriptor.h"
#include "proxy/proto_scan.h"
#include "proxy/proto_write.h"

#define ANSWER_MAX (256u << 10)

/* Field numbers of reflection.proto. */
enum { Q_HOST = 1, Q_FILE = 3, Q_SYMBOL = 4, Q_EXTENSION = 5, Q_EXTENSIONS_OF = 6, Q_SERVICES = 7 };
enum { A_HOST = 1, A_QUESTION = 2, A_FILES = 4, A_EXTENSIONS = 5, A_SERVICES = 6, A_ERROR = 7 };
enum { ERROR_CODE = 1, ERROR_MESSAGE = 2 };

/* Of a oneof the last that is given counts. */
struct question {
	struct str host, value;
	uint32_t asks; /* field number; 0: nothing */
};

static bool read_question(struct str message, struct question *q)
{
	struct proto_scan s = { .rest = message };
	struct proto_field f;

	*q = (struct question){ .host = STR("") };
	while (proto_scan_next(&s, &f)) {
		if (f.type != PROTO_BYTES)
			continue;
		if (f.number == Q_HOST) {
			q->host = f.bytes;
		} else if (f.number >= Q_FILE && f.number <= Q_SERVICES) {
			q->asks = f.number;
			q->value = f.bytes;
		}
	}
	return !s.bad && (q->asks == Q_EXTENSION || q->value.n == 0 || str_utf8(q->value));
}

/* ---- answers: each writes the inside of its message --------------------------------------------- */

static void write_error(struct buf *out, enum err e, const char *text)
{
	proto_write_varint(out, ERROR_CODE, (uint64_t)err_info(e)->grpc);
	proto_write_bytes(out, ERROR_MESSAGE, str_c(text));
}

static uint32_t file(struct str found, struct buf *out, const char *missing)
{
	if (found.p == NULL) {
		write_error(out, E_NOT_FOUND, missing);
		return A_ERROR;
	}
	proto_write_bytes(out, 1, found);
	return A_FILES;
}

/* Nothing that is served has extensions (proto3). */
static uint32_t extensions(struct str type, struct buf *out)
{
	if (!descriptor_is_message(type)) {
		write_error(out, E_NOT_FOUND, "there is no such message");
		return A_ERROR;
	}
	proto_write_bytes(out, 1, type);
	return A_EXTENSIONS;
}

static void service_cb(void *arg, struct str name)
{
	struct buf *out = arg, one;

	buf_init(&one, 1024);
	proto_write_bytes(&one, 1, name);
	out->nomem |= one.failed;
	out->failed |= one.failed;
	proto_write_bytes(out, 1, buf_str(&one));
	buf_release(&one);
}

static uint32_t services(struct buf *out)
{
	descriptor_services(service_cb, out);
	return A_SERVICES;
}

static uint32_t write_inside(const struct question *q, struct buf *out)
{
	switch (q->asks) {
	case Q_FILE:
		return file(descriptor_file(q->value), out, "there is no such file");
	case Q_SYMBOL:
		return file(descriptor_file_of(q->value), out, "there is no such symbol");
	case Q_EXTENSION:
		return file(STR_NONE, out, "there is no such extension");
	case Q_EXTENSIONS_OF:
		return extensions(q->value, out);
	case Q_SERVICES:
		return services(out);
	default:
		write_error(out, E_BAD_REQUEST, "the request asks for nothing");
		return A_ERROR;
	}
}

enum err reflection_answer(struct str message, struct buf *out)
{
	struct question q;
	struct buf inside;
	uint32_t kind;
	enum err e;

	if (!read_question(message, &q))
		return E_BAD_REQUEST;
	buf_init(&inside, ANSWER_MAX);
	kind = write_inside(&q, &inside);
	proto_write_bytes(out, A_HOST, q.host);
	proto_write_bytes(out, A_QUESTION, message);
	proto_write_bytes(out, kind, buf_str(&inside));
	e = buf_err(&inside);
	buf_release(&inside);
	return e != OK ? e : buf_err(out);
}

/* ---- the call ----------------------------------------------------------------------------------- */

static void message_cb(struct request *r, struct str message)
{
	struct buf out;
	enum err e;

	buf_init(&out, ANSWER_MAX);
	e = reflection_answer(message, &out);
	if (e == OK)
		e = request_send(r, buf_str(&out));
	buf_release(&out);
	if (e != OK)
		step_done(request_fail_code(r, e == E_LIMIT ? E_OVERLOADED : e));
}

static void end_cb(struct request *r)
{
	r->reply.grpc = true;
	r->reply.status = 200;
	step_done(request_reply(r));
}

static void drain_cb(struct request *r)
{
	step_done(request_fail_code(r, E_DRAINING));
}

static void gone_cb(struct request *r)
{
	step_done(request_fail_code(r, E_CLIENT_GONE));
}

STEP op_reflection(struct api *a, struct request *r)
{
	static const struct request_stream stream = { message_cb, end_cb, drain_cb };

	(void)a;
	r->stream = &stream;
	r->on_gone = gone_cb;
	return request_suspend(r);
}
