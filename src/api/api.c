#include "api/api.h"

#include <assert.h>
#include <jansson.h>
#include <stdatomic.h>

#include "api/audit_note.h"
#include "api/cors.h"
#include "api/ctl.h"
#include "api/hold.h"
#include "api/idempotency.h"
#include "api/match.h"
#include "authn/authn.h"
#include "authz/decision.h"
#include "base/config.h"
#include "base/heap.h"
#include "crypto/hasher.h"
#include "iam/principal.h"
#include "proxy/proxy.h"
#include "request/forwarded.h"
#include "request/time_limit.h"

struct api {
	struct api_config c;
	struct role_set *roles;
};

enum err api_new(const struct api_config *c, struct api **out)
{
	struct api *a = heap_zalloc(sizeof *a);

	if (a == NULL)
		return E_NOMEM;
	a->c = *c;
	*out = a;
	return OK;
}

void api_free(struct api *a)
{
	if (a == NULL)
		return;
	role_set_unref(a->roles);
	heap_free(a);
}

void api_configure(struct api *a, size_t max_body, const struct config_list *cors_origins)
{
	a->c.max_body = max_body;
	a->c.cors_origins = cors_origins;
}

struct proxy *api_proxy(struct api *a)
{
	return a->c.proxy;
}

struct ctl *api_ctl(struct api *a)
{
	return a->c.ctl;
}

const struct api_config *api_config(const struct api *a)
{
	return &a->c;
}

struct role_set *api_roles(struct api *a)
{
	return a->roles;
}

void api_set_roles_take(struct api *a, struct role_set *r)
{
	role_set_unref(a->roles);
	a->roles = r;
}

void api_write_envelope(enum err e, struct str request_id, struct buf *out)
{
	struct jsonw w = jsonw_on(out);

	jsonw_obj(&w);
	jsonw_kz(&w, "code", err_code(e));
	jsonw_kz(&w, "error", err_info(e)->text);
	jsonw_key(&w, "details");
	jsonw_raw(&w, STR("{}"));
	jsonw_kstr(&w, "request_id", request_id);
	jsonw_obj_end(&w);
}

/* ---- the header is there ------------------------------------------------------------------- */

static void split_target(struct request *r)
{
	struct str query;

	r->path = str_cut(r->target, '?', &query);
	r->query = query;
}

/* OPTIONS is answered here for every path that exists: what is allowed, and CORS. */
static struct step answer_options(struct api *a, struct request *r, unsigned methods)
{
	struct str allow = match_allow(methods, &r->arena);

	r->reply.status = 204;
	(void)reply_header(r, STR("allow"), allow);
	if (cors_is_preflight(r) && cors_allows(r, a->c.cors_origins))
		cors_preflight(r, allow);
	return request_reply(r);
}

static struct step refuse_match(struct api *a, struct request *r, enum err e, unsigned methods)
{
	struct fail f = { 0 };

	if (e == E_METHOD_NOT_ALLOWED && str_eq(r->method, STR("OPTIONS")))
		return answer_options(a, r, methods);
	if (e == E_METHOD_NOT_ALLOWED)
		(void)reply_header(r, STR("allow"), match_allow(methods, &r->arena));
	/* on the gRPC side an unknown method is UNIMPLEMENTED (gRPC over HTTP/2, status codes) */
	if (e == E_NOT_FOUND && request_is_grpc(r))
		e = E_NOT_IMPLEMENTED;
	if (e == E_BAD_REQUEST)
		fail_set(&f, e, "a segment of the path is \".\" or \"..\", or is not UTF-8 once decoded");
	f.err = e;
	return request_fail(r, &f);
}

static bool type_is(struct str value, struct str type)
{
	struct str params;

	return str_ieq(str_trim(str_cut(value, ';', &params)), type);
}

static enum err check_type(const struct request *r, struct fail *f)
{
	struct str ct = request_known(r, HDR_CONTENT_TYPE);

	if (r->op->body == BODY_GRPC)
		return header_is_grpc(ct) ? OK : fail_set(f, E_UNSUPPORTED_TYPE,
		    "the content type must be application/grpc");
	if (request_is_grpc(r)) /* a method of gRPC that does not exist */
		return E_NOT_IMPLEMENTED;
	if (ct.p == NULL || r->op->body == BODY_NONE)
		return OK;
	if (r->op->body == BODY_FORM)
		return type_is(ct, STR("application/x-www-form-urlencoded")) ? OK : fail_set(f,
		    E_UNSUPPORTED_TYPE, "the content type must be application/x-www-form-urlencoded");
	return type_is(ct, STR("application/json")) ||
	    type_is(ct, STR("application/merge-patch+json")) ? OK : E_UNSUPPORTED_TYPE;
}

static enum err check_length(const struct api *a, const struct request *r)
{
	uint64_t n;

	if (request_known(r, HDR_CONTENT_LENGTH).p == NULL)
		return OK;
	if (!str_u64(request_known(r, HDR_CONTENT_LENGTH), UINT64_MAX / 2, &n))
		return E_BAD_REQUEST;
	return n > request_body_max(r, a->c.max_body) ? E_BODY_TOO_LARGE : OK;
}

/* Which of the operation's query parameters it is; -1: none. */
static int query_index(const struct op *op, struct str key)
{
	for (int i = 0; op->query != NULL && op->query[i] != NULL; i++)
		if (str_eqc(key, op->query[i]))
			return i;
	return -1;
}

static enum err bad_parameter(struct fail *f, enum err e, const struct op *op, const char *what,
    struct str key)
{
	fail_set(f, e, "%s %s \"%.*s\"", op->path, what, (int)(key.n < 64 ? key.n : 64), key.p);
	fail_details_take(f, json_pack("{s:s%}", "parameter", key.p, key.n));
	return e;
}

/* Every parameter is one that the operation knows, and none is given twice. A query that goes on to a node is
 * the node's to judge. */
static enum err check_query(struct request *r, struct fail *f)
{
	const struct op *op = r->op;
	struct str rest = r->query;
	uint64_t seen = 0;

	if (op->query != NULL && strcmp(op->query[0], "*") == 0)
		return OK;
	while (rest.p != NULL && r->query.n > 0) {
		struct str value, key = str_cut(str_cut(rest, '&', &rest), '=', &value);
		int i = query_index(op, key);

		if (i < 0)
			return bad_parameter(f, E_UNKNOWN_PARAMETER, op, "does not know the query parameter", key);
		if ((seen & 1ull << i) != 0)
			return bad_parameter(f, E_INVALID_PARAMETER, op, "takes once the query parameter", key);
		seen |= 1ull << i;
	}
	return OK;
}

static void find_client(const struct api *a, struct request *r)
{
	const struct config *k = a->c.ctl != NULL ? a->c.ctl->config : NULL;

	if (k != NULL)
		forwarded_apply(r, &k->trusted_proxies);
}

enum api_next api_start(struct api *a, struct request *r)
{
	struct match m;
	struct fail f = { 0 };
	enum err e;

	r->api = a;
	request_trace_start(r);
	if (r->correlation_id.p == NULL) {
		r->correlation_id = STR("-");
		step_done(request_fail_code(r, E_NOMEM));
		return API_ANSWERED;
	}
	find_client(a, r);
	cors_apply(r, a->c.cors_origins);
	split_target(r);
	if (str_eq(r->path, STR("*"))) { /* of the server as a whole (RFC 9110, 9.3.7) */
		step_done(answer_options(a, r, match_methods(r->listener)));
		return API_ANSWERED;
	}
	e = match_op(r->listener, r->method, r->path, &r->arena, &m);
	r->op = m.op;
	if (e != OK) {
		step_done(refuse_match(a, r, e, m.allow));
		return API_ANSWERED;
	}
	memcpy(r->param, m.param, sizeof r->param);
	r->body.secret = m.op->lane == LANE_CONTROL; /* passwords, client secrets, codes */
	e = check_length(a, r);
	if (e == OK)
		e = check_type(r, &f);
	if (e == OK)
		e = check_query(r, &f);
	if (e == OK)
		e = time_limit_read(r, &f);
	if (e != OK) {
		if (f.err == OK)
			f.err = e;
		step_done(request_fail(r, &f));
		fail_clear(&f);
		return API_ANSWERED;
	}
	return API_READ_BODY;
}

/* ---- the decision -------------------------------------------------------------------------- */

static enum err refuse(const struct decision *d, const struct request *r, struct str right,
    struct str resource, struct fail *f)
{
	json_t *details;

	if (d->reason == AUTHZ_DISABLED)
		return fail_set(f, E_UNAUTHENTICATED, "%s", err_info(E_UNAUTHENTICATED)->text);
	if (d->reason == AUTHZ_TENANT_DISABLED)
		return fail_set(f, E_TENANT_DISABLED, "%s", err_info(E_TENANT_DISABLED)->text);
	if (d->reason == AUTHZ_NOT_MEMBER && r->op->tenant == TENANT_HEADER)
		return fail_set(f, E_TENANT_FORBIDDEN, "%s", err_info(E_TENANT_FORBIDDEN)->text);
	if (resource.p != NULL)
		fail_set(f, E_FORBIDDEN, "the right %.*s on \"%.*s\" is missing", STR_ARG(right),
		    (int)(resource.n < 128 ? resource.n : 128), resource.p);
	else
		fail_set(f, E_FORBIDDEN, "the right %.*s is missing", STR_ARG(right));
	details = json_pack("{s:s%}", "right", right.p, right.n);
	if (resource.p != NULL)
		json_object_set_new(details, "resource", json_stringn(resource.p, resource.n));
	fail_details_take(f, details);
	return E_FORBIDDEN;
}

/* A batch: whoever belongs to the tenant may ask; each item needs the right on its own resource. */
static enum err admit(const struct request *r, const struct role_set *roles, struct str tenant,
    struct fail *f)
{
	struct str right = str_c(r->op->right);
	struct decision d = authz_decide(r->auth.principal, roles, tenant, right, STR_NONE);

	return d.allowed || d.reason == AUTHZ_NO_RIGHT ? OK : refuse(&d, r, right, STR_NONE, f);
}

static enum err decide(const struct request *r, const struct role_set *roles, struct str tenant,
    struct str resource, struct fail *f)
{
	struct str right = str_c(r->op->right);
	struct decision d = authz_decide(r->auth.principal, roles, tenant, right, resource);

	if (d.allowed && !authz_in_scopes(r->auth.scopes, right))
		d = (struct decision){ .reason = AUTHZ_NO_SCOPE };
	return d.allowed ? OK : refuse(&d, r, right, resource, f);
}

static bool tenant_valid(struct str t)
{
	if (t.n < 1 || t.n > 63 || t.p[0] == '-')
		return false;
	for (size_t i = 0; i < t.n; i++)
		if (!((t.p[i] >= 'a' && t.p[i] <= 'z') || (t.p[i] >= '0' && t.p[i] <= '9') ||
		    t.p[i] == '-'))
			return false;
	return true;
}

static enum err tenant_from_header(struct request *r)
{
	struct str t = request_known(r, HDR_TENANT_ID);

	if (r->known_count[HDR_TENANT_ID] == 0)
		return E_TENANT_REQUIRED;
	if (r->known_count[HDR_TENANT_ID] > 1 || !tenant_valid(t))
		return E_TENANT_INVALID;
	r->tenant = t;
	return OK;
}

static enum err resource_of(struct request *r, struct str *out, struct fail *f)
{
	*out = STR_NONE;
	if (r->op->body == BODY_GRPC)
		return proxy_grpc_peek(r, out, f);
	if (r->op->resource >= 0)
		*out = r->param[r->op->resource];
	return OK;
}

/* What a user does with its own account is no right that a scope could name. */
static enum err authorize_user(const struct request *r, struct fail *f)
{
	if (r->auth.principal->kind != PRINCIPAL_USER)
		return fail_set(f, E_FORBIDDEN, "only a user may do this");
	return r->auth.scopes.p == NULL ? OK : fail_set(f, E_FORBIDDEN,
	    "the scopes of the token leave this out");
}

/* What can be decided on the worker; TENANT_SCOPE is decided on the control lane. */
static enum err authorize(struct api *a, struct request *r, struct fail *f)
{
	struct str tenant = STR_NONE, resource;
	enum err e;

	if (r->op->who == WHO_ANY || r->op->tenant == TENANT_SCOPE)
		return OK;
	if (r->op->who == WHO_USER)
		return authorize_user(r, f);
	if (a->roles == NULL)
		return E_STATE_STALE;
	if (r->op->tenant == TENANT_HEADER) {
		e = tenant_from_header(r);
		if (e != OK)
			return e;
		tenant = r->tenant;
	} else if (r->op->tenant == TENANT_LIST) {
		tenant = request_query(r, "tenant");
		if (tenant.p != NULL && !tenant_valid(tenant))
			return fail_set(f, E_INVALID_PARAMETER, "tenant must match "
			    "[a-z0-9][a-z0-9-]{0,62}");
	}
	if (r->op->resource == RESOURCE_OF_ITEMS)
		return admit(r, a->roles, tenant, f);
	e = resource_of(r, &resource, f);
	if (e == OK && r->op->tenant == TENANT_LIST && tenant.p != NULL) {
		e = decide(r, a->roles, STR_NONE, resource, f); /* platform-wide suffices always */
		if (e == OK)
			return OK;
		fail_clear(f);
		e = OK;
	}
	return e != OK ? e : decide(r, a->roles, tenant, resource, f);
}

/* ---- the control lane ---------------------------------------------------------------------- */

static void come_back_cb(struct loop_msg *m)
{
	struct request *r = (struct request *)((char *)m - offsetof(struct request, msg));

	step_done(hold_reply(r));
}

static enum err decide_scope(struct ctl *c, struct request *r, struct fail *f)
{
	struct scope s = { 0 };
	enum err e = r->op->scope(c, r, &s, f);

	if (e != OK)
		return e;
	if (r->roles == NULL)
		return E_STATE_STALE;
	e = decide(r, r->roles, STR_NONE, STR_NONE, f); /* platform-wide suffices always */
	if (e == OK || s.platform || s.n == 0)
		return e;
	for (unsigned i = 0; i < s.n; i++) {
		fail_clear(f);
		e = decide(r, r->roles, s.tenant[i], STR_NONE, f);
		if (e == OK && i == 0)
			r->tenant = s.tenant[0];
		if ((e == OK) == s.any)
			return e;
	}
	return e;
}

static enum err run_control(struct ctl *c, struct request *r, struct fail *f)
{
	bool answered;
	enum err e = idempotency_begin(c, r, &answered, f);

	return e != OK || answered ? e : r->op->control(c, r, f);
}

/* On a control thread, which owns r until the message is posted. */
static void control_job(struct pool_job *j)
{
	struct request *r = (struct request *)((char *)j - offsetof(struct request, job));
	struct ctl *c = r->api->c.ctl;
	struct fail f = { 0 };
	enum err e = OK;

	r->reply.status = r->op->status;
	if (r->op->who == WHO_RIGHT && r->op->tenant == TENANT_SCOPE)
		e = decide_scope(c, r, &f);
	if (e == OK)
		e = run_control(c, r, &f);
	if (e == OK && buf_err(&r->reply.buf) != OK)
		e = E_INTERNAL;
	if (e != OK) {
		if (f.err == OK)
			f.err = e;
		reply_set_fail(r, &f);
	}
	fail_clear(&f);
	loop_post(r->loop, &r->msg);
}

static void unref_roles(void *arg)
{
	role_set_unref(arg);
}

static struct step to_control(struct api *a, struct request *r)
{
	if (a->roles != NULL) {
		struct role_set *roles = role_set_ref(a->roles);

		r->roles = roles;
		if (request_on_finish(r, unref_roles, roles) != OK)
			return request_fail_code(r, E_NOMEM);
	}
	r->msg.cb = come_back_cb;
	r->job.run = control_job;
	if (pool_submit(a->c.lane, &r->job) != OK)
		return hold_fail_code(r, E_OVERLOADED);
	return request_suspend(r);
}

/* ---- the body is there --------------------------------------------------------------------- */

static struct step run_lane(struct api *a, struct request *r)
{
	if (r->op->hashes && hasher_full(a->c.ctl->hasher))
		return hold_fail_code(r, E_OVERLOADED);
	if (r->op->lane == LANE_CONTROL)
		return to_control(a, r);
	if (r->client_gone) /* while it was found out who is calling: no node is asked any more */
		return request_fail_code(r, E_CLIENT_GONE);
	return r->op->run(a, r);
}

static struct step authorized(struct api *a, struct request *r, enum err e, struct fail *f)
{
	struct step s;

	if (e == OK)
		return run_lane(a, r);
	if (f->err == OK)
		f->err = e;
	s = hold_fail(r, f);
	fail_clear(f);
	return s;
}

/* Browsers add a password that they keep, and a client certificate, to what any page makes them send: such a
 * page must not change anything. Nobody but their owner sends the other credentials. */
static enum err check_origin(const struct api *a, const struct request *r, struct fail *f)
{
	bool added_by_browsers = r->auth.method == AUTH_BASIC || r->auth.method == AUTH_CERTIFICATE;

	if (!added_by_browsers || r->op->method == M_GET || !cors_is_foreign(r, a->c.cors_origins))
		return OK;
	return fail_set(f, E_FORBIDDEN, "a page of another origin may not do this; see cors.origins");
}

static struct step authenticated(struct api *a, struct request *r, enum err e)
{
	struct fail f = { 0 };

	if (e == OK && r->auth.principal == NULL)
		e = E_UNAUTHENTICATED;
	if (e == OK) {
		r->principal_id = str_c(r->auth.principal->id_text);
		e = audit_watch(r, &f);
	} else if (e == E_RATE_LIMITED) {
		f = (struct fail){ .err = e, .retry_after = r->retry_after };
	}
	if (e == OK)
		e = check_origin(a, r, &f);
	if (e == OK)
		e = authorize(a, r, &f);
	return authorized(a, r, e, &f);
}

void api_run_part(struct api *a, struct request *r)
{
	struct fail f = { 0 };

	step_done(authorized(a, r, authorize(a, r, &f), &f));
}

static void authenticated_cb(struct request *r, enum err e)
{
	step_done(authenticated(r->api, r, e));
}

static struct step run(struct api *a, struct request *r)
{
	bool has_body = r->body.n > 0 || r->in != NULL;
	enum err e;

	if (r->op->body != BODY_NONE && has_body && request_known(r, HDR_CONTENT_TYPE).p == NULL)
		return request_fail_code(r, E_UNSUPPORTED_TYPE);
	if (r->op->who == WHO_ALL || r->op->who == WHO_SERVICE)
		return run_lane(a, r);
	if (!atomic_load_explicit(a->c.state_fresh, memory_order_relaxed))
		return request_fail_code(r, E_STATE_STALE);
	e = authn_request(a->c.authn, r, authenticated_cb);
	if (e == E_NOT_READY)
		return request_suspend(r);
	return authenticated(a, r, e);
}

void api_run(struct api *a, struct request *r)
{
	step_done(run(a, r));
}
