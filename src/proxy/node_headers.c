#include "proxy/node_headers.h"

#include "iam/principal.h"
#include "proxy/relay.h"
#include "upstream/grpc_frame.h"

static void add(struct relay *x, struct str name, struct str value)
{
	relay_header(x, name, value);
}

static struct str own_trace(struct request *r)
{
	char *p = arena_alloc(&r->arena, TRACE_LEN + 1);

	if (p == NULL)
		return STR_NONE;
	trace_write(&r->trace, p);
	return str_n(p, TRACE_LEN);
}

static void mint_identity(struct relay *x)
{
	const struct auth *a = &x->r->auth;
	const struct principal *who = a->principal;
	struct str kind, id;

	add(x, STR("x-auth-tenant-id"), x->r->tenant);
	if (who == NULL)
		return;
	kind = who->kind == PRINCIPAL_USER ? STR("user") : STR("service_account");
	id = str_n(who->id_text, ID_TEXT_LEN - 1);
	add(x, STR("x-auth-user-id"), id);
	add(x, STR("x-auth-principal-type"), kind);
	add(x, STR("x-auth-actor-type"), kind);
	add(x, STR("x-auth-actor-id"), id);
	add(x, STR("x-auth-authority-mode"), STR("direct"));
	add(x, STR("x-auth-scopes"), a->scopes.p != NULL ? a->scopes : STR("*"));
}

void node_headers_mint(struct relay *x)
{
	struct request *r = x->r;

	mint_identity(x);
	add(x, STR("x-tenant-id"), r->tenant);
	add(x, STR("x-correlation-id"), r->correlation_id);
	add(x, STR("traceparent"), own_trace(r));
	if (r->trace.from_caller && r->known_count[HDR_TRACESTATE] == 1)
		add(x, STR("tracestate"), request_known(r, HDR_TRACESTATE));
}


void node_headers_pass(struct relay *x)
{
	static const enum header_id passed[] = { HDR_ACCEPT, HDR_CONTENT_TYPE, HDR_IF_NONE_MATCH,
		HDR_IF_MATCH };
	struct request *r = x->r;
	struct str language = request_header(r, STR("accept-language"));

	for (size_t i = 0; i < sizeof passed / sizeof *passed; i++)
		if (r->known_count[passed[i]] == 1)
			add(x, header_name(passed[i]), request_known(r, passed[i]));
	if (language.p != NULL)
		add(x, STR("accept-language"), language);
	add(x, STR("x-request-timeout-ms"),
	    arena_u64(&r->arena, (uint64_t)((x->deadline - loop_now(r->loop) + 999) / 1000)));
}

void node_headers_grpc(struct relay *x)
{
	char *p = arena_alloc(&x->r->arena, GRPC_TIMEOUT_LEN);

	add(x, STR("content-type"), STR("application/grpc"));
	add(x, STR("te"), STR("trailers"));
	add(x, STR("user-agent"), STR("gatewayd/" GW_VERSION));
	add(x, STR("grpc-timeout"), p == NULL ? STR_NONE :
	    grpc_timeout_write(x->deadline - loop_now(x->r->loop), p));
}

/* ---- the way back ------------------------------------------------------------------------------ */

bool node_header_is_safe(struct str name)
{
	static const struct str safe[] = {
		{ "age", 3 }, { "allow", 5 }, { "cache-control", 13 }, { "content-disposition", 19 },
		{ "content-encoding", 16 }, { "content-language", 16 }, { "etag", 4 }, { "expires", 7 },
		{ "last-modified", 13 }, { "link", 4 }, { "location", 8 }, { "retry-after", 11 },
		{ "vary", 4 },
	};
	static const struct str ours[] = {
		{ "x-accel-", 8 }, { "x-auth-", 7 }, { "x-correlation-id", 16 }, { "x-forwarded-", 12 },
		{ "x-tenant-id", 11 },
	};

	for (size_t i = 0; i < sizeof safe / sizeof *safe; i++)
		if (str_eq(name, safe[i]))
			return true;
	for (size_t i = 0; i < sizeof ours / sizeof *ours; i++)
		if (str_starts(name, ours[i]))
			return false;
	return str_starts(name, STR("x-"));
}
