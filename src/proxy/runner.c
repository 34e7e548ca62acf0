/* Node administration: what stands behind /admin/runner goes to /admin on the tenant's runner node. */
#include "proxy/relay.h"
#include "proxy/node_headers.h"
#include "proxy/path.h"
#include "proxy/proxy.h"

#define PREFIX STR("/admin/runner")

/* The raw path behind the prefix, and the query, as the caller wrote them. */
static struct str node_path(struct request *r, struct str rest)
{
	char *p = r->query.n > 0 ?
	    arena_printf(&r->arena, "/admin%.*s?%.*s", STR_ARG(rest), STR_ARG(r->query)) :
	    arena_printf(&r->arena, "/admin%.*s", STR_ARG(rest));

	return str_c(p);
}

STEP proxy_runner(struct proxy *p, struct request *r)
{
	struct upstream_request q = { .method = r->method, .body = buf_str(&r->body), .source = r->in,
		.admin = true };
	struct fail f = { 0 };
	struct relay *x;
	struct str rest;

	if (!str_starts(r->path, PREFIX))
		return request_fail_code(r, E_NOT_FOUND);
	rest = str_skip(r->path, PREFIX.n);
	if (path_is_devious(rest))
		return request_fail_code(r, E_NOT_FOUND);
	x = relay_new(p, r, ROUTE_RUNNER, &f);
	if (x == NULL)
		return request_fail(r, &f);
	q.idempotent = str_eq(r->method, STR("GET")) || str_eq(r->method, STR("HEAD"));
	q.path = node_path(r, rest);
	if (q.path.p == NULL)
		return request_fail_code(r, E_NOMEM);
	node_headers_pass(x);
	node_headers_mint(x);
	x->answer = relay_pass;
	return relay_send(x, &q);
}
