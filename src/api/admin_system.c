/* /admin/authz/explain and /admin/status */
#include "api/ctl.h"
#include "api/handlers.h"
#include "authz/decision.h"
#include "base/clock.h"
#include "base/config.h"
#include "crypto/hasher.h"
#include "iam/principal.h"
#include "iam/service_account.h"
#include "iam/tenant.h"
#include "routing/table.h"
#include "upstream/fleet.h"
#include "store/change.h"
#include "store/store.h"

#define UNWELL_MAX 100 /* nodes that /admin/status lists */

/* ---- explain -------------------------------------------------------------------------------- */

static void write_assignments(struct jsonw *w, const struct principal *p, struct str tenant)
{
	jsonw_key(w, "assignments");
	jsonw_arr(w);
	for (size_t i = 0; i < p->n; i++) {
		if (tenant.p != NULL && !str_eq(p->assignments[i].tenant, tenant) &&
		    !str_eq(p->assignments[i].tenant, STR("*")))
			continue;
		jsonw_obj(w);
		jsonw_kstr(w, "tenant", p->assignments[i].tenant);
		jsonw_kstr(w, "role", p->assignments[i].role);
		jsonw_obj_end(w);
	}
	jsonw_arr_end(w);
}

static void write_explanation(struct request *r, const struct principal *p, struct str right,
    struct str resource, const struct decision *d)
{
	struct str tenant = request_query(r, "tenant");
	struct jsonw w = request_json(r, 200);

	jsonw_obj(&w);
	jsonw_kz(&w, "principal", p->id_text);
	jsonw_kstr(&w, "tenant", tenant);
	jsonw_kstr(&w, "right", right);
	jsonw_kstr(&w, "resource", resource);
	jsonw_kbool(&w, "allowed", d->allowed);
	jsonw_kz(&w, "reason", authz_reason_text(d->reason));
	jsonw_kstr(&w, "role", d->allowed ? d->role : STR_NONE);
	jsonw_kbool(&w, "disabled", p->disabled);
	write_assignments(&w, p, tenant);
	jsonw_obj_end(&w);
}

static bool reads_in(const struct principal *caller, const struct role_set *roles, struct str tenant)
{
	return authz_decide(caller, roles, tenant, STR("iam.read"), STR_NONE).allowed;
}

/* Only those that the caller may read are told of: in any tenant where they have a role or, of a service
 * account, that it belongs to, or platform-wide (api/scope.h). Of others it hears what it would of nobody. */
static enum err need_readable(struct ctl *c, struct request *r, const struct role_set *roles,
    const struct principal *p, struct fail *f)
{
	const struct principal *caller = r->auth.principal;
	struct service_account sa = { .tenant = STR_NONE };
	enum err e = OK;

	if (reads_in(caller, roles, STR_NONE))
		return OK;
	for (size_t i = 0; i < p->n; i++)
		if (!str_eq(p->assignments[i].tenant, TENANT_EVERY) &&
		    reads_in(caller, roles, p->assignments[i].tenant))
			return OK;
	if (p->kind == PRINCIPAL_SERVICE_ACCOUNT)
		e = service_account_by_id(c->store, p->id, &r->arena, &sa, f);
	if (e == OK && sa.tenant.p != NULL && reads_in(caller, roles, sa.tenant))
		return OK;
	if (e != OK && e != E_NOT_FOUND)
		return e;
	fail_clear(f);
	return fail_set(f, E_NOT_FOUND, "there is no such principal");
}

enum err op_explain(struct ctl *c, struct request *r, struct fail *f)
{
	struct str right = request_query(r, "right"), resource = request_query(r, "resource");
	struct role_set *roles = NULL;
	struct principal *p = NULL;
	struct decision d;
	struct id id;
	enum err e;

	if (!id_parse(request_query(r, "principal"), &id))
		return fail_set(f, E_INVALID_PARAMETER, "principal must be a UUID");
	if (right.p == NULL || !right_is_known(right))
		return fail_set(f, E_INVALID_PARAMETER, "right must be one of /admin/rights");
	e = principal_load(c->store, id, &p, f);
	if (e == OK)
		e = role_set_load(c->store, &roles, f);
	if (e == OK)
		e = need_readable(c, r, roles, p, f);
	if (e == OK) {
		d = authz_decide(p, roles, request_query(r, "tenant"), right, resource);
		write_explanation(r, p, right, resource, &d);
	}
	role_set_unref(roles);
	principal_unref(p);
	return e;
}

/* ---- status --------------------------------------------------------------------------------- */

static void write_feed(struct jsonw *w, const struct feed *feed)
{
	struct feed_stats s;

	feed_stats(feed, &s);
	jsonw_key(w, "feed");
	jsonw_obj(w);
	jsonw_kint(w, "seq", feed_seq(feed));
	jsonw_kint(w, "age_ms", feed_age(feed) / CLOCK_MS);
	jsonw_kint(w, "errors", (int64_t)s.errors);
	jsonw_kbool(w, "nats_connected", s.nats_connected);
	jsonw_obj_end(w);
}

static void write_unwell(void *arg, const struct fleet_node *n)
{
	struct jsonw *w = arg;
	enum err why = (enum err)atomic_load(&n->reason);
	bool down = fleet_node_health(n) == HEALTH_DOWN;

	jsonw_obj(w);
	jsonw_kstr(w, "url", n->url);
	jsonw_kbool(w, "admin", n->admin);
	jsonw_kz(w, "health", health_name(fleet_node_health(n)));
	jsonw_ktime_or_null(w, "since", down ? atomic_load(&n->since) : 0);
	jsonw_kstr(w, "reason", !down ? STR_NONE : why != OK ? str_c(err_code(why)) :
	    STR("not_ready"));
	jsonw_kz(w, "circuit", breaker_state_name(breaker_state(&n->breaker)));
	jsonw_obj_end(w);
}

static void write_nodes(struct jsonw *w, struct fleet *fleet)
{
	struct fleet_summary s = { 0 };

	jsonw_key(w, "nodes");
	jsonw_obj(w);
	jsonw_key(w, "unwell");
	jsonw_arr(w);
	if (fleet != NULL)
		fleet_summarise(fleet, UNWELL_MAX, write_unwell, w, &s);
	jsonw_arr_end(w);
	jsonw_kint(w, "unwell_total", (int64_t)s.unwell);
	jsonw_kint(w, "total", (int64_t)s.nodes);
	jsonw_kint(w, "up", (int64_t)s.health[HEALTH_UP]);
	jsonw_kint(w, "down", (int64_t)s.health[HEALTH_DOWN]);
	jsonw_kint(w, "unknown", (int64_t)s.health[HEALTH_UNKNOWN]);
	jsonw_kint(w, "circuits_open", (int64_t)s.circuit[BREAKER_OPEN]);
	jsonw_kint(w, "circuits_half_open", (int64_t)s.circuit[BREAKER_HALF_OPEN]);
	jsonw_obj_end(w);
}

static void write_tls(struct jsonw *w, struct ctl *c)
{
	int64_t clients, nodes;

	c->certificate_expiry(c, &clients, &nodes);
	jsonw_key(w, "tls");
	jsonw_obj(w);
	jsonw_ktime_or_null(w, "certificate_expires_at", clients);
	jsonw_ktime_or_null(w, "node_certificate_expires_at", nodes);
	jsonw_obj_end(w);
}

enum err op_status(struct ctl *c, struct request *r, struct fail *f)
{
	struct route_table *routes = c->routes(c);
	const char *failing = c->not_ready(c);
	struct jsonw w = request_json(r, 200);

	(void)f;
	jsonw_obj(&w);
	jsonw_kz(&w, "status", failing == NULL ? "ok" : failing);
	jsonw_kz(&w, "version", GW_VERSION);
	jsonw_kid(&w, "replica", c->replica);
	jsonw_ktime(&w, "time", clock_wall());
	jsonw_kz(&w, "store", store_is_rqlite(c->store) ? "rqlite" : "sqlite");
	write_feed(&w, c->feed);
	jsonw_key(&w, "routing");
	jsonw_obj(&w);
	jsonw_kz(&w, "source", c->config->routing_source);
	jsonw_kint(&w, "revision", routes != NULL ? route_table_revision(routes) : 0);
	jsonw_obj_end(&w);
	write_nodes(&w, c->fleet);
	write_tls(&w, c);
	jsonw_kint(&w, "password_hash_queue", (int64_t)hasher_waiting(c->hasher));
	jsonw_obj_end(&w);
	route_table_unref(routes);
	return OK;
}
