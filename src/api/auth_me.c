/* Who the caller is and what it may do; the keys that its tokens are verified with. */
#include <stdio.h>

#include "api/ctl.h"
#include "api/handlers.h"
#include "authz/decision.h"
#include "base/clock.h"
#include "crypto/jwt.h"
#include "crypto/keyring.h"
#include "iam/principal.h"
#include "iam/tenant.h"

enum err op_jwks(struct ctl *c, struct request *r, struct fail *f)
{
	struct keyring *keys = c->keys(c);

	if (keys == NULL)
		return fail_code(f, E_NOT_READY);
	(void)request_json(r, 200);
	keyring_write_jwks(keys, clock_wall(), &r->reply.buf);
	keyring_unref(keys);
	return OK;
}

/* x-tenant-id, when one was given: STR_NONE otherwise. */
static enum err tenant_of(struct request *r, struct str *out, struct fail *f)
{
	*out = request_known(r, HDR_TENANT_ID);
	if (r->known_count[HDR_TENANT_ID] > 1 || (out->p != NULL && !tenant_id_is_valid(*out)))
		return fail_code(f, E_TENANT_INVALID);
	return OK;
}

/* ---- GET /v1/me ----------------------------------------------------------------------------- */

/* Assignments are sorted by tenant: each run is one tenant. */
static void write_tenants(struct jsonw *w, const struct principal *p)
{
	jsonw_key(w, "tenants");
	jsonw_arr(w);
	for (size_t i = 0; i < p->n;) {
		size_t first = i;

		jsonw_obj(w);
		jsonw_kstr(w, "id", p->assignments[i].tenant);
		jsonw_key(w, "roles");
		jsonw_arr(w);
		for (; i < p->n && str_eq(p->assignments[i].tenant, p->assignments[first].tenant); i++)
			jsonw_str(w, p->assignments[i].role);
		jsonw_arr_end(w);
		jsonw_obj_end(w);
	}
	jsonw_arr_end(w);
}

static bool holds(const struct principal *p, const struct role_set *roles, struct str tenant,
    struct str right)
{
	if (authz_decide(p, roles, tenant, right, STR_NONE).allowed)
		return true;
	for (size_t i = 0; tenant.p == NULL && i < p->n; i++)
		if (!str_eq(p->assignments[i].tenant, TENANT_EVERY) &&
		    authz_decide(p, roles, p->assignments[i].tenant, right, STR_NONE).allowed)
			return true;
	return false;
}

/* "gateway.<right>" for each right held in the tenant, or, without one, in any. */
static void write_capabilities(struct jsonw *w, const struct auth *a, const struct role_set *roles,
    struct str tenant)
{
	char name[64];

	jsonw_key(w, "capabilities");
	jsonw_arr(w);
	for (size_t i = 0; i < rights_count; i++) {
		struct str right = str_c(rights_all[i].name);

		if (!holds(a->principal, roles, tenant, right) || !authz_in_scopes(a->scopes, right))
			continue;
		snprintf(name, sizeof name, "gateway.%s", rights_all[i].name);
		jsonw_str(w, str_c(name));
	}
	jsonw_arr_end(w);
}

/* What a service account's token hangs on is no session of its own to end. */
static void write_auth(struct jsonw *w, const struct auth *a)
{
	bool session = a->has_session && a->principal->kind == PRINCIPAL_USER;

	jsonw_key(w, "auth");
	jsonw_obj(w);
	jsonw_kz(w, "method", auth_method_name(a->method));
	jsonw_key(w, "amr");
	jwt_amr_write(jwt_amr_parse(a->amr), w->out);
	w->comma = true;
	if (session)
		jsonw_kid(w, "session_id", a->session);
	jsonw_ktime_or_null(w, "expires_at", a->expires_at);
	jsonw_obj_end(w);
}

enum err op_me(struct ctl *c, struct request *r, struct fail *f)
{
	const struct principal *p = r->auth.principal;
	bool user = p->kind == PRINCIPAL_USER;
	struct str tenant;
	struct jsonw w;
	enum err e = tenant_of(r, &tenant, f);

	(void)c;
	if (e != OK)
		return e;
	if (r->roles == NULL)
		return fail_code(f, E_STATE_STALE);
	w = request_json(r, 200);
	jsonw_obj(&w);
	jsonw_kz(&w, "id", p->id_text);
	jsonw_kz(&w, "kind", user ? "user" : "service_account");
	jsonw_kstr(&w, user ? "email" : "name", p->name);
	write_tenants(&w, p);
	write_capabilities(&w, &r->auth, r->roles, tenant);
	write_auth(&w, &r->auth);
	jsonw_obj_end(&w);
	return OK;
}

/* ---- GET /v1/me/can ------------------------------------------------------------------------- */

enum err op_me_can(struct ctl *c, struct request *r, struct fail *f)
{
	struct str right = request_query(r, "right"), resource = request_query(r, "resource"), tenant;
	struct decision d;
	struct jsonw w;
	enum err e = tenant_of(r, &tenant, f);

	(void)c;
	if (e != OK)
		return e;
	if (right.p == NULL || !right_is_known(right))
		return fail_set(f, E_INVALID_PARAMETER, "right must be one of /admin/rights");
	if (r->roles == NULL)
		return fail_code(f, E_STATE_STALE);
	d = authz_decide(r->auth.principal, r->roles, tenant, right, resource);
	if (d.allowed && !authz_in_scopes(r->auth.scopes, right))
		d = (struct decision){ .reason = AUTHZ_NO_SCOPE };
	w = request_json(r, 200);
	jsonw_obj(&w);
	jsonw_kstr(&w, "right", right);
	jsonw_kstr(&w, "resource", resource);
	jsonw_kbool(&w, "allowed", d.allowed);
	jsonw_kz(&w, "reason", authz_reason_text(d.reason));
	jsonw_obj_end(&w);
	return OK;
}
