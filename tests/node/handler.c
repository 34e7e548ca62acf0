#include "handler.h"

#include "fault.h"
#include "node.h"
#include "request.h"
#include "tenant.h"

#include <ctype.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* A call with its path taken apart. */
struct call {
	const struct request *request;
	struct slice body;
	char *rest; /* what follows the route's path, percent-decoded */
	json_t *json;
	char tenant[64];
	struct verdict verdict;
};

#define BENCH_BODY \
	"{\"view_type\":\"bench\",\"count\":2,\"items\":" \
	"[{\"id\":\"a1\",\"total\":1250},{\"id\":\"a2\",\"total\":990.5}],\"page\":1}"
static const char bench_answer[] =
	"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 101\r\n\r\n" BENCH_BODY;
_Static_assert(sizeof BENCH_BODY - 1 == 101, "content-length of the constant answer");

static void refuse(struct answer *a, const struct verdict *v)
{
	const struct problem_row *row = &problem_rows[v->problem];

	answer_problem(a, row->http, row->code, v->text);
}

static enum problem need_tenant(struct call *c)
{
	return node_tenant(request_header(c->request, "x-tenant-id"),
	                   request_header(c->request, "x-auth-tenant-id"), c->tenant, &c->verdict);
}

static enum problem need_object(struct call *c)
{
	json_error_t why;

	c->json = json_loadb(c->body.data, c->body.len, JSON_REJECT_DUPLICATES, &why);
	if (!c->json)
		return verdict_set(&c->verdict, PROBLEM_INVALID, "body: %s at byte %d", why.text,
		                   why.position);
	if (!json_is_object(c->json))
		return verdict_set(&c->verdict, PROBLEM_INVALID, "body: an object is expected");
	return PROBLEM_NONE;
}

static void do_health(struct call *c, struct answer *a)
{
	(void)c;
	answer_json_take(a, 200, json_pack("{s:s,s:s}", "status", "ok", "node", node_name));
}

static json_t *headers_json(const struct request *r)
{
	json_t *list = json_array();

	for (size_t i = 0; i < r->nheaders; i++)
		json_array_append_new(list, json_pack("[o,o]", node_text(r->headers[i].name),
		                                      node_text(r->headers[i].value)));
	return list;
}

static void do_echo(struct call *c, struct answer *a)
{
	json_t *body =
		json_loadb(c->body.data ? c->body.data : "", c->body.len, JSON_DECODE_ANY, NULL);

	answer_json_take(a, 200,
	                 json_pack("{s:s,s:o,s:o,s:o,s:o,s:o}", "node", node_name, "method",
	                           node_text(c->request->method), "target",
	                           node_text(c->request->target), "headers",
	                           headers_json(c->request), "text", node_text(c->body), "body",
	                           body ? body : json_null()));
}

static void do_counter(struct call *c, struct answer *a)
{
	const char *key;

	if (need_object(c))
		refuse(a, &c->verdict);
	else if (!(key = json_string_value(json_object_get(c->json, "key"))))
		answer_problem(a, 400, "invalid_argument", "key is required");
	else
		answer_json_take(
			a, 200, json_pack("{s:s,s:i}", "key", key, "count", (int)fault_count(key)));
}

static const char *const bad_framings[] = {
	[FRAMING_TWO_LENGTHS] =
		"HTTP/1.1 200 OK\r\ncontent-length: 5\r\ncontent-length: 7\r\n\r\nhello!!",
	[FRAMING_BOTH] =
		"HTTP/1.1 200 OK\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n"
		"5\r\nhello\r\n0\r\n\r\n",
	[FRAMING_BAD_CHUNK] =
		"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nxyz\r\nhello\r\n0\r\n\r\n",
	[FRAMING_BAD_STATUS] = "HTTP/1.1 abc\r\ncontent-length: 5\r\n\r\nhello",
	[FRAMING_BAD_HEADER] = "HTTP/1.1 200 OK\r\ncontent-length : 5\r\n\r\nhello",
	[FRAMING_LONG_HEAD] = "HTTP/1.1 200 OK\r\nx-long: ",
};

static void misframe(struct answer *a, enum fault_kind kind)
{
	a->raw = true;
	a->end = END_CLOSE;
	bytes_add(&a->body, bad_framings[kind], strlen(bad_framings[kind]));
	if (kind == FRAMING_LONG_HEAD) {
		bytes_fill(&a->body, 'x', 256u << 10);
		bytes_addf(&a->body, "\r\ncontent-length: 5\r\n\r\nhello");
	}
}

/* Fills the body with a JSON string of exactly n bytes (at least its two quotes). */
static void fill(struct answer *a, size_t n)
{
	bytes_add(&a->body, "\"", 1);
	bytes_fill(&a->body, 'x', n > 2 ? n - 2 : 0);
	bytes_add(&a->body, "\"", 1);
}

static void half_body(struct answer *a, size_t n)
{
	a->raw = true;
	bytes_addf(
		&a->body,
		"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %zu\r\n\r\n",
		n);
	fill(a, n / 2);
}

static void misbehave(const struct fault *f, struct answer *a)
{
	a->status = 200;
	switch (f->mode) {
	case FAULT_NONE:
	case FAULT_GOAWAY:
	case FAULT_DELAY:
		answer_json_take(a, 200,
		                 json_pack("{s:s,s:i}", "fault", "none", "count", (int)f->count));
		a->end = f->mode == FAULT_GOAWAY ? END_CLOSE : END_KEEP;
		a->delay_ms = f->delay_ms;
		break;
	case FAULT_STATUS:
		answer_problem(a, f->status, "injected_fault", "ordered by the test");
		break;
	case FAULT_CLOSE:
	case FAULT_REFUSE:
		a->raw = true;
		a->end = END_CLOSE;
		break;
	case FAULT_RESET_MID_BODY:
		half_body(a, f->bytes);
		a->end = END_RESET;
		break;
	case FAULT_SHORT_BODY:
		half_body(a, f->bytes);
		a->end = END_CLOSE;
		break;
	case FAULT_BAD_FRAMING:
		misframe(a, f->kind);
		break;
	case FAULT_CHUNKED:
		a->chunked = true;
		fill(a, f->bytes);
		break;
	case FAULT_UNTIL_CLOSE:
		a->raw = true;
		a->end = END_CLOSE;
		bytes_addf(&a->body, "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n");
		fill(a, f->bytes);
		break;
	case FAULT_LARGE:
		fill(a, f->bytes);
		break;
	case FAULT_TEXT:
		bytes_addf(&a->body, "no JSON");
		break;
	}
}

static void do_fault(struct call *c, struct answer *a)
{
	struct fault f;

	if (need_object(c) || fault_read(c->json, &f, &c->verdict))
		refuse(a, &c->verdict);
	else
		misbehave(&f, a);
}

static void do_query(struct call *c, struct answer *a)
{
	json_t *result;

	if (need_tenant(c) || need_object(c) ||
	    !(result = node_query(c->tenant, c->rest, c->json, &c->verdict)))
		refuse(a, &c->verdict);
	else
		answer_json_take(a, 200, result);
}

static enum problem read_command(struct call *c, struct command *cmd, json_t **payload,
                                 json_t **metadata)
{
	json_int_t expected = -1;
	char *slash = strchr(c->rest, '/');
	json_error_t why;

	if (need_tenant(c) || need_object(c))
		return c->verdict.problem;
	if (!slash || slash == c->rest || !slash[1])
		return verdict_set(&c->verdict, PROBLEM_INVALID,
		                   "the path is /v1/commands/{aggregate_type}/{aggregate_id}");
	*slash = 0;
	*cmd = (struct command){ .tenant = c->tenant,
		                 .command_id = "",
		                 .command_type = "",
		                 .aggregate_type = c->rest,
		                 .aggregate_id = slash + 1 };
	if (json_unpack_ex(c->json, &why, JSON_STRICT, "{s?s,s?s,s?o,s?I,s?o}", "command_id",
	                   &cmd->command_id, "command_type", &cmd->command_type, "payload", payload,
	                   "expected_version", &expected, "metadata", metadata))
		return verdict_set(&c->verdict, PROBLEM_INVALID, "body: %s", why.text);
	if (json_object_get(c->json, "expected_version") && expected < 0)
		return verdict_set(&c->verdict, PROBLEM_INVALID, "expected_version is negative");
	cmd->has_expected_version = expected >= 0;
	cmd->expected_version = (uint64_t)expected;
	return PROBLEM_NONE;
}

static void answer_outcome(struct answer *a, struct outcome *o)
{
	const struct event *e = o->event;

	a->in_flight = o->in_flight;
	a->delay_ms = o->delay_ms;
	if (o->verdict.problem) {
		refuse(a, &o->verdict);
	} else if (o->lose_answer) {
		a->raw = true;
		a->end = END_CLOSE;
	} else {
		answer_json_take(a, 200,
		                 json_pack("{s:s,s:s,s:s,s:I,s:[o]}", "command_id", e->command_id,
		                           "aggregate_type", e->aggregate_type, "aggregate_id",
		                           e->aggregate_id, "version", (json_int_t)e->version,
		                           "events", event_json(e)));
	}
}

static void do_command(struct call *c, struct answer *a)
{
	json_t *payload = NULL, *metadata = NULL;
	struct command cmd;
	struct outcome o;
	char *text;

	if (read_command(c, &cmd, &payload, &metadata)) {
		refuse(a, &c->verdict);
		return;
	}
	text = payload ? json_dumps(payload, JSON_COMPACT | JSON_ENCODE_ANY) : strdup("{}");
	if (!text)
		abort();
	cmd.payload = text;
	cmd.payload_len = strlen(text);
	node_command(&cmd, metadata, &o);
	answer_outcome(a, &o);
	free(text);
}

static void do_tenant(struct call *c, struct answer *a)
{
	char *slash = strchr(c->rest, '/');
	const char *verb = slash ? slash + 1 : "";
	bool get = slice_is(c->request->method, "GET");

	if (slash)
		*slash = 0;
	if (!strcmp(verb, "drain") && !get) {
		tenant_drain(c->rest, true);
	} else if (!strcmp(verb, "resume") && !get) {
		tenant_drain(c->rest, false);
	} else if (strcmp(verb, "status")) {
		answer_problem(a, 404, "not_found", "the verbs are status, drain and resume");
		return;
	} else if (!get && (need_object(c) || !tenant_pretend(c->rest, c->json))) {
		answer_problem(a, 400, "invalid_argument",
		               "lag, checkpoint_stable, snapshot_available");
		return;
	}
	answer_json_take(a, 200, tenant_status(c->rest));
}

/* The first row whose path and method fit; a path that ends in a slash is a prefix. */
static const struct route {
	const char *path, *method; /* NULL: any method */
	void (*run)(struct call *c, struct answer *a);
} routes[] = {
	{ "/v1/query/echo", "POST", do_echo },
	{ "/v1/query/fault", "POST", do_fault },
	{ "/v1/query/counter", "POST", do_counter },
	{ "/v1/query/", "POST", do_query },
	{ "/v1/commands/", "POST", do_command },
	{ "/admin/tenants/", "GET", do_tenant },
	{ "/admin/tenants/", "POST", do_tenant },
	{ "/admin/echo", NULL, do_echo },
	{ "/health", "GET", do_health },
};

/* The length of the route's path when target begins with it, else 0. */
static size_t fits(const struct route *route, struct slice target)
{
	size_t n = strlen(route->path);
	bool prefix = route->path[n - 1] == '/';

	if (target.len < n || memcmp(target.data, route->path, n))
		return 0;
	return prefix || target.len == n || target.data[n] == '?' ? n : 0;
}

static int hex(char c)
{
	return isdigit((unsigned char)c) ? c - '0' : tolower((unsigned char)c) - 'a' + 10;
}

static char *decode(struct slice path)
{
	const char *query = path.len ? memchr(path.data, '?', path.len) : NULL;
	char *text, *to;

	if (query)
		path.len = (size_t)(query - path.data);
	text = to = slice_dup(path);
	for (const char *p = text; *p; p++) {
		if (*p == '%' && isxdigit((unsigned char)p[1]) && isxdigit((unsigned char)p[2])) {
			*to++ = (char)(hex(p[1]) << 4 | hex(p[2]));
			p += 2;
		} else {
			*to++ = *p;
		}
	}
	*to = 0;
	return text;
}

static void run_route(const struct route *route, size_t n, const struct request *r,
                      struct slice body, struct answer *a)
{
	struct slice rest = { r->target.data + n, r->target.len - n };
	struct call c = { .request = r, .body = body, .rest = decode(rest) };

	route->run(&c, a);
	json_decref(c.json);
	free(c.rest);
}

void handler_run(const struct request *r, struct slice body, struct answer *a)
{
	bool known = false;

	if (slice_is(r->target, "/v1/query/bench") ||
	    (slice_is(r->target, "/") && slice_is(r->method, "GET"))) {
		a->constant = (struct slice){ bench_answer, sizeof bench_answer - 1 };
		return;
	}
	for (size_t i = 0; i < sizeof routes / sizeof *routes; i++) {
		size_t n = fits(&routes[i], r->target);
		if (!n)
			continue;
		known = true;
		if (!routes[i].method || slice_is(r->method, routes[i].method)) {
			run_route(&routes[i], n, r, body, a);
			return;
		}
	}
	answer_problem(a, known ? 405 : 404, known ? "method_not_allowed" : "not_found",
	               "no such call on this node");
}
