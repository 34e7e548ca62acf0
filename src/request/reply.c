#include <assert.h>
#include <jansson.h>

#include "base/heap.h"
#include "base/hex.h"
#include "base/log.h"
#include "request/request.h"

static const struct step made = { 1 };

enum err reply_header(struct request *r, struct str name, struct str value)
{
	if (r->reply.nh == REPLY_HEADERS)
		return E_LIMIT;
	if (name.p == NULL || value.p == NULL)
		return E_NOMEM;
	r->reply.h[r->reply.nh++] = (struct header){ name, value };
	return OK;
}

struct jsonw request_json(struct request *r, int status)
{
	r->reply.status = status;
	r->reply.err = OK;
	r->reply.content_type = STR("application/json");
	buf_clear(&r->reply.buf);
	return jsonw_on(&r->reply.buf);
}

static bool wants_problem(const struct request *r)
{
	struct str rest = request_known(r, HDR_ACCEPT);

	while (rest.p != NULL) {
		struct str params, item = str_cut(rest, ',', &rest);

		item = str_trim(str_cut(item, ';', &params));
		if (str_ieq(item, STR("application/problem+json")))
			return true;
	}
	return false;
}

static void write_details(struct jsonw *w, const struct fail *f)
{
	char *text = f->details != NULL ? json_dumps(f->details, JSON_COMPACT) : NULL;

	jsonw_key(w, "details");
	jsonw_raw(w, text != NULL ? str_c(text) : STR("{}"));
	free(text); /* jansson's */
}

static void write_envelope(struct request *r, const struct fail *f)
{
	struct jsonw w = jsonw_on(&r->reply.buf);

	r->reply.content_type = STR("application/json");
	jsonw_obj(&w);
	jsonw_kz(&w, "code", err_code(f->err));
	jsonw_kz(&w, "error", fail_text(f));
	write_details(&w, f);
	jsonw_kstr(&w, "request_id", r->correlation_id);
	jsonw_obj_end(&w);
}

/* RFC 9457. */
static void write_problem(struct request *r, const struct fail *f)
{
	struct jsonw w = jsonw_on(&r->reply.buf);

	r->reply.content_type = STR("application/problem+json");
	jsonw_obj(&w);
	jsonw_key(&w, "type");
	buf_printf(&r->reply.buf, "\"urn:gateway:error:%s\"", err_code(f->err));
	w.comma = true;
	jsonw_kz(&w, "title", err_info(f->err)->text);
	jsonw_kint(&w, "status", err_info(f->err)->http);
	jsonw_kz(&w, "detail", fail_text(f));
	jsonw_kstr(&w, "instance", r->path);
	jsonw_kz(&w, "code", err_code(f->err));
	write_details(&w, f);
	jsonw_kstr(&w, "request_id", r->correlation_id);
	jsonw_obj_end(&w);
}

static void error_headers(struct request *r, const struct fail *f)
{
	int status = err_info(f->err)->http;
	int after = f->retry_after > 0 ? f->retry_after : 1;
	char *text;

	if (status == 401 && !request_is_grpc(r))
		(void)reply_header(r, STR("www-authenticate"), STR("Bearer"));
	if (f->err == E_COMPRESSED)
		(void)reply_header(r, STR("grpc-accept-encoding"), STR("identity"));
	if (status != 429 && status != 503)
		return;
	text = arena_printf(&r->arena, "%d", after);
	if (text != NULL)
		(void)reply_header(r, STR("retry-after"), str_c(text));
}

/* What the store says, and what went wrong inside, names files, hosts and statements of ours. */
static bool is_for_the_log(enum err e)
{
	return e == E_STORE_UNAVAILABLE || e == E_STORE_UNKNOWN || e == E_INTERNAL;
}

/* The fail as the caller may see it; its text goes to the log where the caller gets another one. */
static struct fail published(const struct request *r, const struct fail *f)
{
	if (!is_for_the_log(f->err) || f->text[0] == '\0')
		return *f;
	log_warn("a request failed", LOG_S("correlation_id", r->correlation_id),
	    LOG_Z("code", err_code(f->err)), LOG_Z("error", f->text));
	return (struct fail){ .err = f->err, .retry_after = f->retry_after };
}

void reply_set_fail(struct request *r, const struct fail *inner)
{
	const struct err_info *info = err_info(inner->err);
	const struct fail public = published(r, inner), *f = &public;

	assert(f->err != OK);
	buf_clear(&r->reply.buf);
	r->reply.err = f->err;
	r->reply.body = STR_NONE;
	r->reply.status = info->http;
	error_headers(r, f);
	if (request_is_grpc(r)) {
		r->reply.grpc = true;
		r->reply.status = 200;
		r->reply.grpc_status = info->grpc;
		r->reply.grpc_message = arena_str(&r->arena, str_c(fail_text(f)));
		return;
	}
	if (wants_problem(r))
		write_problem(r, f);
	else
		write_envelope(r, f);
}

/* The caller's own traceparent goes back as it came, without what a version that we do not know has put
 * behind it; a trace that began here names our span. */
static struct str trace_echo(struct request *r)
{
	struct str came = request_known(r, HDR_TRACEPARENT);
	char *p;

	if (r->trace.from_caller && str_starts(came, STR("00-")))
		return came;
	p = arena_alloc(&r->arena, TRACE_LEN + 1);
	if (p == NULL)
		return STR_NONE;
	trace_write(&r->trace, p);
	if (r->trace.from_caller)
		hex_encode(r->trace.parent_id, sizeof r->trace.parent_id, p + 36);
	return str_n(p, TRACE_LEN);
}

/* What the control lane says is about its caller, or true only now, so nobody keeps it unless the table says
 * so. What comes from a node is the node's. */
static struct str cache_control(const struct request *r)
{
	if (r->op == NULL || r->op->lane != LANE_CONTROL)
		return STR_NONE;
	return r->op->cache != NULL && r->reply.err == OK ? str_c(r->op->cache) : STR("no-store");
}

static void standard_headers(struct request *r)
{
	struct str cache = cache_control(r);

	(void)reply_header(r, STR("x-correlation-id"), r->correlation_id);
	(void)reply_header(r, STR("traceparent"), trace_echo(r));
	if (cache.p != NULL)
		(void)reply_header(r, STR("cache-control"), cache);
}

STEP request_reply(struct request *r)
{
	assert(!r->replied);
	r->replied = true;
	r->on_gone = NULL;
	if (r->reply.body.p == NULL && r->reply.flow == NULL && r->reply.buf.n > 0)
		r->reply.body = buf_str(&r->reply.buf);
	if (!r->reply.begun)
		standard_headers(r);
	r->front->respond(r);
	return made;
}

enum err request_send(struct request *r, struct str message)
{
	if (!r->reply.begun) {
		r->reply.begun = r->reply.grpc = true;
		r->reply.status = 200;
		standard_headers(r);
	}
	r->bytes_out += message.n;
	return r->front->send(r, message);
}

STEP request_fail(struct request *r, const struct fail *f)
{
	reply_set_fail(r, f);
	return request_reply(r);
}

STEP request_fail_code(struct request *r, enum err e)
{
	struct fail f = { .err = e };

	return request_fail(r, &f);
}

STEP request_suspend(struct request *r)
{
	(void)r;
	return made;
}
