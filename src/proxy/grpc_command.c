/* SubmitCommand as gRPC callers send it: passed on as it is to grpc nodes, turned to JSON for http
 * ones. */
#include "base/jsonw.h"
#include "proxy/command.h"
#include "proxy/command_body.h"
#include "proxy/grpc_status.h"
#include "proxy/json_scan.h"
#include "proxy/proto_scan.h"
#include "proxy/proxy.h"

/* What a SubmitCommandRequest says, as views of it. Of a field given more than once the last counts, as
 * every protobuf reader takes it. */
struct command {
	struct str id, aggregate_type, aggregate_id, type, payload;
	bool has_version;
	uint64_t version;
};

static void take(struct command *c, const struct proto_field *f)
{
	struct str *const texts[] = { NULL, &c->id, &c->aggregate_type, &c->aggregate_id, &c->type,
		&c->payload };

	if (f->number <= 5 && f->type == PROTO_BYTES) {
		*texts[f->number] = f->bytes;
	} else if (f->number == 6 && f->type == PROTO_VARINT) {
		c->has_version = true;
		c->version = f->value;
	}
}

static bool scan(struct str message, struct command *c)
{
	struct proto_scan s = { .rest = message };
	struct proto_field f;

	*c = (struct command){ 0 };
	while (proto_scan_next(&s, &f))
		take(c, &f);
	return !s.bad;
}

/* As an HTTP path could not name it. */
static bool is_dots(struct str s)
{
	return str_eq(s, STR(".")) || str_eq(s, STR(".."));
}

static enum err check(const struct command *c, struct fail *f)
{
	if (c->aggregate_type.n == 0 || c->aggregate_id.n == 0 || c->type.n == 0)
		return fail_set(f, E_BAD_REQUEST,
		    "aggregate_type, aggregate_id and command_type are required");
	if (!str_utf8(c->aggregate_type) || !str_utf8(c->aggregate_id) || !str_utf8(c->type))
		return fail_set(f, E_BAD_REQUEST, "a string field is not UTF-8");
	if (is_dots(c->aggregate_type) || is_dots(c->aggregate_id))
		return fail_set(f, E_BAD_REQUEST, "aggregate_type and aggregate_id may not be dots");
	if (c->id.n > 0 && !command_id_ok(c->id))
		return fail_set(f, E_BAD_REQUEST, "command_id must be 1 to 128 visible ASCII characters");
	return OK;
}

enum err proxy_grpc_peek(struct request *r, struct str *aggregate_type, struct fail *f)
{
	struct command c;

	if (!scan(buf_str(&r->body), &c))
		return fail_set(f, E_BAD_REQUEST, "the message is not a SubmitCommandRequest");
	*aggregate_type = c.aggregate_type;
	return check(&c, f);
}

/* ---- to grpc nodes ----------------------------------------------------------------------------- */

/* Message and status go back as the node gave them. */
static STEP grpc_answer(struct relay *x, const struct upstream_response *resp)
{
	struct request *r = x->r;

	upstream_body_take(resp, &r->reply.buf);
	r->reply.grpc = true;
	r->reply.status = 200;
	r->reply.grpc_status = resp->grpc_status <= GRPC_STATUS_MAX ? resp->grpc_status : 2;
	r->reply.grpc_message = arena_str(&r->arena, resp->grpc_message);
	r->reply.body = resp->grpc_status == 0 ? buf_str(&r->reply.buf) : STR_NONE;
	if (resp->grpc_status != 0)
		r->reply.err = grpc_status_err(resp->grpc_status, x->expects_version); /* for the log */
	return request_reply(r);
}

/* The message with command_id (field 1) behind it, where it wins over one that is empty. */
static STEP grpc_to_grpc(struct relay *x, struct str id, bool made)
{
	struct request *r = x->r;

	if (made) {
		buf_addc(&r->body, 1 << 3 | PROTO_BYTES);
		buf_addc(&r->body, (char)id.n); /* below 128: one byte */
		buf_adds(&r->body, id);
		if (r->body.failed)
			return request_fail_code(r, E_NOMEM);
	}
	x->answer = grpc_answer;
	return command_send_grpc(x, buf_str(&r->body));
}

/* ---- to http nodes ----------------------------------------------------------------------------- */

/* metadata entries: field 7, each a message of key and value; of equal keys the last counts */
static bool write_metadata(struct jsonw *w, struct str message)
{
	struct proto_scan s = { .rest = message };
	struct proto_field f, kv;

	jsonw_key(w, "metadata");
	jsonw_obj(w);
	while (proto_scan_next(&s, &f)) {
		struct proto_scan entry = { .rest = f.bytes };
		struct str pair[3] = { STR(""), STR(""), STR("") };

		if (f.number != 7 || f.type != PROTO_BYTES)
			continue;
		while (proto_scan_next(&entry, &kv))
			if (kv.number <= 2 && kv.type == PROTO_BYTES)
				pair[kv.number] = kv.bytes;
		if (entry.bad || !str_utf8(pair[1]) || !str_utf8(pair[2]))
			return false;
		if (w->comma)
			buf_addc(w->out, ',');
		jsonw_escape(w->out, pair[1]);
		buf_addc(w->out, ':');
		jsonw_escape(w->out, pair[2]);
		w->comma = true;
	}
	jsonw_obj_end(w);
	return true;
}

static enum err write_json(struct buf *out, const struct command *c, struct str id, struct str message)
{
	struct json_scan s = json_scan_of(c->payload);
	struct jsonw w = jsonw_on(out);
	struct str raw = STR("null");

	if (c->payload.n > 0 && (!str_utf8(c->payload) || !json_scan_value(&s, &raw) || !json_scan_end(&s)))
		return E_BAD_JSON;
	jsonw_obj(&w);
	jsonw_kstr(&w, "command_id", id);
	jsonw_kstr(&w, "command_type", c->type);
	jsonw_key(&w, "payload");
	jsonw_raw(&w, raw);
	if (c->has_version) {
		jsonw_key(&w, "expected_version");
		buf_addu(out, c->version);
		w.comma = true;
	}
	if (!write_metadata(&w, message))
		return E_BAD_REQUEST;
	jsonw_obj_end(&w);
	return buf_err(out);
}

/* What an http node says against the command, with the text of its envelope when it has one. */
static STEP http_failed(struct relay *x, const struct upstream_response *resp)
{
	enum err e = http_status_err(resp->status, x->expects_version);
	struct str said = json_scan_find_text(&x->r->arena, resp->body, STR("error"));
	struct fail f = { 0 };

	if (said.n > 0)
		fail_set(&f, e, "%.*s", STR_ARG(said));
	else
		f.err = e;
	return request_fail(x->r, &f);
}

static STEP http_answer(struct relay *x, const struct upstream_response *resp)
{
	struct request *r = x->r;
	struct str message;

	if (resp->status != 200)
		return http_failed(x, resp);
	/* the message may hold views of the JSON: both stay until the request ends */
	upstream_body_take(resp, &r->reply.buf);
	if (command_answer_from_json(&r->arena, buf_str(&r->reply.buf), &message) != OK)
		return request_fail_code(r, E_BAD_UPSTREAM);
	r->reply.grpc = true;
	r->reply.status = 200;
	r->reply.body = message;
	return request_reply(r);
}

static STEP grpc_to_http(struct relay *x, const struct command *c, struct str id)
{
	struct request *r = x->r;
	struct buf *out = &r->reply.buf; /* free until the answer comes */
	struct fail f = { 0 };
	enum err e;

	buf_clear(out);
	e = write_json(out, c, id, buf_str(&r->body));
	if (e != OK) {
		fail_set(&f, e == E_LIMIT ? E_BODY_TOO_LARGE : e, "payload must be JSON, and metadata text");
		return request_fail(r, &f);
	}
	x->answer = http_answer;
	return command_send_http(x, c->aggregate_type, c->aggregate_id, buf_str(out));
}

STEP proxy_grpc_command(struct proxy *p, struct request *r)
{
	struct fail f = { 0 };
	struct command c;
	struct relay *x;
	struct str id;

	if (!scan(buf_str(&r->body), &c) || check(&c, &f) != OK) {
		if (f.err == OK)
			f.err = E_BAD_REQUEST;
		return request_fail(r, &f);
	}
	x = relay_new(p, r, ROUTE_AGGREGATE, &f);
	if (x == NULL)
		return request_fail(r, &f);
	id = c.id.n > 0 ? c.id : command_id_new(r);
	if (id.p == NULL)
		return request_fail_code(r, E_NOMEM);
	x->expects_version = c.has_version;
	return x->grpc ? grpc_to_grpc(x, id, c.id.n == 0) : grpc_to_http(x, &c, id);
}
