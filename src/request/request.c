#include "request/request.h"

#include <arpa/inet.h>
#include <assert.h>
#include <ctype.h>

#include "base/clock.h"
#include "base/heap.h"
#include "base/hex.h"
#include "base/rnd.h"
#include "obs/obs.h"
#include "request/flow.h"

#define ARENA_MAX (64u << 20) /* routing documents pass through it */
#define REPLY_MAX (64u << 20)
#define BODY_MAX (64u << 20) /* a bound on what limits.body may be; the front enforces that */
#define HEADERS_MAX 4096
#define KEEP_MAX 16384 /* of each buffer of a request that waits to be used again */

void request_init(struct request *r)
{
	memset(r, 0, sizeof *r);
	arena_init(&r->arena, ARENA_MAX);
	buf_init(&r->body, BODY_MAX);
	buf_init(&r->reply.buf, REPLY_MAX);
}

/* Keeps memory that is likely to be wanted again, gives back what was extraordinary. */
static void keep_small(struct buf *b, size_t max)
{
	if (b->cap > KEEP_MAX)
		buf_release(b);
	buf_clear(b);
	b->max = max;
	b->secret = false;
}

void request_reset(struct request *r)
{
	struct arena arena = r->arena;
	struct buf body = r->body, reply = r->reply.buf;

	assert(r->cleanups == NULL);
	arena_clear(&arena);
	keep_small(&body, BODY_MAX);
	keep_small(&reply, REPLY_MAX);
	memset(r, 0, sizeof *r);
	r->arena = arena;
	r->body = body;
	r->reply.buf = reply;
}

void request_release(struct request *r)
{
	assert(r->cleanups == NULL);
	arena_release(&r->arena);
	buf_release(&r->body);
	buf_release(&r->reply.buf);
}

uint64_t request_body_max(const struct request *r, size_t limit)
{
	if (r->op != NULL && r->op->large)
		return limit > 0 ? limit : INT64_MAX;
	return limit > 0 && limit < BODY_MAX ? limit : BODY_MAX;
}

static enum err grow_headers(struct request *r)
{
	size_t cap = r->headers_cap > 0 ? r->headers_cap * 2 : 24;
	struct header *h;

	if (cap > HEADERS_MAX)
		return E_LIMIT;
	h = arena_alloc(&r->arena, cap * sizeof *h);
	if (h == NULL)
		return E_NOMEM;
	if (r->nheaders > 0)
		memcpy(h, r->headers, r->nheaders * sizeof *h);
	r->headers = h;
	r->headers_cap = cap;
	return OK;
}

enum err request_add_field(struct request *r, struct str name, struct str value)
{
	enum header_id id = header_lookup(name);

	if (r->nheaders == r->headers_cap) {
		enum err e = grow_headers(r);

		if (e != OK)
			return e;
	}
	r->headers[r->nheaders++] = (struct header){ name, value };
	if (id == HDR__COUNT)
		return OK;
	if (r->known_count[id] == 0)
		r->known[id] = value;
	if (r->known_count[id] < UINT8_MAX)
		r->known_count[id]++;
	return OK;
}

enum err request_add_header(struct request *r, struct str name, struct str value)
{
	char *lower = arena_alloc(&r->arena, name.n + 1);

	if (lower == NULL)
		return E_NOMEM;
	for (size_t i = 0; i < name.n; i++)
		lower[i] = (char)(name.p[i] >= 'A' && name.p[i] <= 'Z' ? name.p[i] | 0x20 : name.p[i]);
	lower[name.n] = '\0';
	return request_add_field(r, str_n(lower, name.n), value);
}

struct str request_header(const struct request *r, struct str name)
{
	for (size_t i = 0; i < r->nheaders; i++)
		if (str_eq(r->headers[i].name, name))
			return r->headers[i].value;
	return STR_NONE;
}

struct str request_decode(struct request *r, struct str s)
{
	char *out = arena_alloc(&r->arena, s.n + 1);
	size_t k = 0;

	if (out == NULL)
		return STR_NONE;
	for (size_t i = 0; i < s.n; i++) {
		out[k] = s.p[i] == '+' ? ' ' : s.p[i];
		if (s.p[i] == '%') {
			if (i + 2 >= s.n || !hex_decode(str_n(s.p + i + 1, 2), &out[k]) || out[k] == '\0')
				return STR_NONE;
			i += 2;
		}
		k++;
	}
	out[k] = '\0';
	return str_utf8(str_n(out, k)) ? str_n(out, k) : STR_NONE;
}

struct str request_query(struct request *r, const char *name)
{
	struct str rest = r->query;

	while (rest.p != NULL) {
		struct str value, pair = str_cut(rest, '&', &rest);
		struct str key = str_cut(pair, '=', &value);

		if (str_eqc(key, name))
			return request_decode(r, value.p != NULL ? value : STR(""));
	}
	return STR_NONE;
}

/* For every line of the access log: inet_ntop would be a third of what the line costs. */
static void write_v4(const struct in_addr *a, char *o)
{
	const uint8_t *b = (const uint8_t *)&a->s_addr;

	for (int i = 0; i < 4; i++) {
		if (b[i] >= 100)
			*o++ = (char)('0' + b[i] / 100);
		if (b[i] >= 10)
			*o++ = (char)('0' + b[i] / 10 % 10);
		*o++ = (char)('0' + b[i] % 10);
		*o++ = '.';
	}
	o[-1] = '\0';
}

struct str request_source(struct request *r)
{
	const struct sockaddr_in *v4 = (const struct sockaddr_in *)&r->peer;
	const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)&r->peer;
	char t[INET6_ADDRSTRLEN] = "";

	if (r->peer.ss_family == AF_INET)
		write_v4(&v4->sin_addr, t);
	else if (r->peer.ss_family == AF_INET6)
		inet_ntop(AF_INET6, &v6->sin6_addr, t, sizeof t);
	return arena_str(&r->arena, str_c(t));
}

/* ---- correlation and trace ----------------------------------------------------------------- */

static bool correlation_ok(struct str s)
{
	if (s.n < 1 || s.n > 128)
		return false;
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] < 0x21 || s.p[i] > 0x7e)
			return false;
	return true;
}

static bool lower_hex(struct str s, void *out)
{
	for (size_t i = 0; i < s.n; i++)
		if (isupper((unsigned char)s.p[i]))
			return false;
	return hex_decode(s, out);
}

static bool all_zero(const uint8_t *p, size_t n)
{
	uint8_t any = 0;

	while (n-- > 0)
		any |= p[n];
	return any == 0;
}

/* traceparent = version "-" trace-id "-" parent-id "-" flags (W3C Trace Context, 3.2.2). A higher
 * version may carry more behind another "-". */
static bool parse_traceparent(struct str s, struct trace *t)
{
	uint8_t version;

	if (s.n < 55 || s.p[2] != '-' || s.p[35] != '-' || s.p[52] != '-' ||
	    !lower_hex(str_n(s.p, 2), &version) || version == 0xff ||
	    (version == 0 ? s.n != 55 : s.n > 55 && s.p[55] != '-') ||
	    !lower_hex(str_n(s.p + 3, 32), t->trace_id) ||
	    !lower_hex(str_n(s.p + 36, 16), t->parent_id) ||
	    !lower_hex(str_n(s.p + 53, 2), &t->flags))
		return false;
	return !all_zero(t->trace_id, 16) && !all_zero(t->parent_id, 8);
}

void request_trace_start(struct request *r)
{
	struct str c = request_known(r, HDR_CORRELATION_ID);

	if (r->known_count[HDR_CORRELATION_ID] == 1 && correlation_ok(c)) {
		r->correlation_id = c;
	} else {
		char t[ID_TEXT_LEN];

		r->correlation_id = arena_str(&r->arena, str_c(id_text(id_new(r->started_wall), t)));
	}
	if (r->known_count[HDR_TRACEPARENT] != 1 ||
	    !parse_traceparent(request_known(r, HDR_TRACEPARENT), &r->trace)) {
		memset(&r->trace, 0, sizeof r->trace);
		rnd_bytes(r->trace.trace_id, sizeof r->trace.trace_id);
		r->trace.flags = 1;
	} else {
		r->trace.flags &= 1;
		r->trace.from_caller = true;
	}
	rnd_bytes(r->trace.span_id, sizeof r->trace.span_id);
}

void trace_write(const struct trace *t, char out[TRACE_LEN + 1])
{
	memcpy(out, "00-", 3);
	hex_encode(t->trace_id, 16, out + 3);
	out[35] = '-';
	hex_encode(t->span_id, 8, out + 36);
	memcpy(out + 52, t->flags & 1 ? "-01" : "-00", 4);
}

/* ---- the end --------------------------------------------------------------------------------- */

void request_on_finish_in(struct request *r, struct request_cleanup *c, void (*cb)(void *), void *arg)
{
	*c = (struct request_cleanup){ r->cleanups, cb, arg };
	r->cleanups = c;
}

enum err request_on_finish(struct request *r, void (*cb)(void *), void *arg)
{
	struct request_cleanup *c = arena_alloc(&r->arena, sizeof *c);

	if (c == NULL) {
		cb(arg);
		return E_NOMEM;
	}
	request_on_finish_in(r, c, cb, arg);
	return OK;
}

static struct str trace_text(struct request *r, char out[33])
{
	hex_encode(r->trace.trace_id, 16, out);
	return str_n(out, 32);
}

/* Methods that the house does not know are the caller's text: none of that goes into the log. */
static struct str logged_method(const struct request *r)
{
	for (int m = 0; m < M__COUNT && r->method.p != NULL; m++)
		if (str_eqc(r->method, method_name((enum method)m)))
			return r->method;
	return r->method.p != NULL ? STR("other") : STR_NONE;
}

/* How much of path, in whole segments, the template says literally: "/v1/auth" of "/v1/auth/x". */
static size_t literal_part(struct str path, const char *template)
{
	size_t n = 0;

	for (size_t i = 0; i <= path.n; i++) {
		bool ends = i == path.n || path.p[i] == '/';

		if (ends && (template[i] == '\0' || template[i] == '/'))
			n = i;
		/* a path that was refused may have NUL in it */
		if (i == path.n || template[i] == '\0' || path.p[i] != template[i])
			break;
	}
	return n;
}

/* A path that is no operation's may hold anything, also a token that was put where it does not belong: only
 * what begins like one of ours is told, and that there was more ("/v1/auth/" and an asterisk). */
static struct str logged_path(struct request *r)
{
	size_t known = 0;
	char *p;

	if (r->op != NULL || r->path.p == NULL)
		return r->path;
	for (size_t i = 0; i < ops_count; i++) {
		size_t n = literal_part(r->path, ops_all[i].path);

		known = n > known ? n : known;
	}
	if (known == r->path.n)
		return r->path;
	p = arena_alloc(&r->arena, known + 2);
	if (p == NULL)
		return STR("/*");
	memcpy(p, r->path.p, known);
	memcpy(p + known, "/*", 2);
	return str_n(p, known + 2);
}

static uint64_t bytes_out(const struct request *r)
{
	if (r->reply.flow != NULL)
		return r->reply.flow->taken;
	return r->bytes_out > 0 ? r->bytes_out : r->reply.body.n;
}

static void observe(struct request *r)
{
	char trace[33];
	struct obs_request o = {
		.route = r->op != NULL ? (size_t)(r->op - ops_all) : ops_count,
		/* gRPC's own status is always 200: the one that says more is told */
		.status = r->reply.grpc && r->reply.err != OK ? err_info(r->reply.err)->http : r->reply.status,
		.wall = r->started_wall,
		.duration_us = clock_mono() - r->started_mono,
		.upstream_us = r->upstream_us,
		.method = logged_method(r),
		.path = logged_path(r),
		.correlation_id = r->correlation_id,
		.trace_id = trace_text(r, trace),
		.code = r->reply.err != OK ? str_c(err_code(r->reply.err)) : STR_NONE,
		.tenant = r->tenant,
		.auth = r->auth.method != AUTH_NONE ? str_c(auth_method_name(r->auth.method)) : STR_NONE,
		.principal = r->principal_id,
		.upstream = r->upstream,
		.source = request_source(r),
		.bytes_in = r->in != NULL ? r->in->given : r->body.n,
		.bytes_out = bytes_out(r),
		.http_version = r->http_version,
	};

	obs_request_end(r->obs, &o);
}

void request_finish(struct request *r)
{
	assert(!r->finished);
	r->finished = true;
	if (r->obs != NULL)
		observe(r);
	while (r->cleanups != NULL) {
		struct request_cleanup *c = r->cleanups;

		r->cleanups = c->next;
		c->cb(c->arg);
	}
}

const char *auth_method_name(enum auth_method m)
{
	static const char *const names[AUTH__COUNT] = {
		[AUTH_NONE] = "none", [AUTH_ACCESS_TOKEN] = "access_token",
		[AUTH_EXTERNAL_JWT] = "external_jwt", [AUTH_API_KEY] = "api_key",
		[AUTH_BASIC] = "basic", [AUTH_CERTIFICATE] = "certificate",
	};

	return names[m];
}

const char *method_name(enum method m)
{
	static const char *const names[M__COUNT] = {
		[M_GET] = "GET", [M_HEAD] = "HEAD", [M_POST] = "POST", [M_PUT] = "PUT",
		[M_PATCH] = "PATCH", [M_DELETE] = "DELETE", [M_OPTIONS] = "OPTIONS",
	};

	return names[m];
}
