#include "api/audit_note.h"

#include <jansson.h>

#include "api/api.h"
#include "api/ctl.h"
#include "base/clock.h"
#include "base/hex.h"
#include "iam/audit.h"
#include "iam/principal.h"
#include "iam/throttle.h"
#include "request/request.h"

#define BEFORE_MAX (8u << 20)

struct str audit_row(struct request *r, void (*write)(struct jsonw *w, const void *row),
    const void *row)
{
	struct str out;
	struct jsonw w;
	struct buf b;

	buf_init(&b, BEFORE_MAX);
	w = jsonw_on(&b);
	write(&w, row);
	out = audit_json(buf_str(&b), &r->arena);
	buf_release(&b);
	return out;
}

static void add_actor(const struct request *r, struct audit_record *out)
{
	const struct principal *p = r->auth.principal;

	out->method = str_c(auth_method_name(r->auth.method));
	if (p == NULL)
		return;
	out->has_actor = true;
	out->actor = p->id;
	out->actor_kind = p->kind == PRINCIPAL_USER ? STR("user") : STR("service_account");
	out->actor_name = p->name;
}

static void add_request(struct request *r, struct audit_record *out)
{
	char *trace = arena_alloc(&r->arena, 32);

	if (trace != NULL) {
		hex_encode(r->trace.trace_id, 16, trace);
		out->trace_id = str_n(trace, 32);
	}
	out->request_id = r->correlation_id;
	out->source = request_source(r);
	out->action = str_c(r->op->name);
}

static struct str member(struct request *r, struct str json, const char *name)
{
	json_t *o = json.p != NULL ? json_loadb(json.p, json.n, 0, NULL) : NULL;
	const json_t *v = json_object_get(o, name);
	struct str out = STR_NONE;

	if (json_is_string(v))
		out = arena_str(&r->arena, str_n(json_string_value(v), json_string_length(v)));
	json_decref(o);
	return out;
}

/* What was made, or else the last thing that the path names. */
static struct str target_of(struct request *r, struct str after)
{
	struct str id = r->op->method == M_POST ? member(r, after, "id") : STR_NONE;

	for (int i = OP_PARAMS - 1; i >= 0 && id.p == NULL; i--)
		id = r->param[i];
	return id;
}

static struct str tenant_of(struct request *r, const struct audit_record *rec)
{
	struct str t;

	if (str_starts(str_c(r->op->name), STR("tenants.")))
		return rec->target;
	t = member(r, rec->after, "tenant");
	if (t.p == NULL)
		t = member(r, rec->before, "tenant");
	return t.p != NULL ? t : r->tenant;
}

void audit_describe(struct request *r, enum err outcome, struct audit_record *out)
{
	*out = (struct audit_record){ .at = clock_wall(), .before = r->audit_before };
	add_actor(r, out);
	add_request(r, out);
	if (outcome == OK && r->audit_after.p != NULL)
		out->after = r->audit_after;
	else if (outcome == OK && r->op->lane == LANE_CONTROL && r->reply.buf.n > 0)
		out->after = audit_json(buf_str(&r->reply.buf), &r->arena);
	out->target = target_of(r, out->after);
	out->tenant = tenant_of(r, out);
	out->outcome = outcome == OK ? STR("ok") : str_c(err_code(outcome));
}

static void at_end(void *arg)
{
	struct request *r = arg;
	struct audit_record rec;

	if (r->audited || r->reply.err == E_UNAUTHENTICATED)
		return;
	if (r->reply.err != OK)
		throttle_refused_count(api_ctl(r->api)->throttle, &r->auth.principal->id, loop_now(r->loop));
	audit_describe(r, r->reply.err, &rec);
	(void)audit_post(api_ctl(r->api)->audit, &rec); /* it logs what it cannot take */
}

enum err audit_watch(struct request *r, struct fail *f)
{
	struct ctl *c = api_ctl(r->api);

	if (!r->op->mutates || r->auth.principal == NULL || c->audit == NULL)
		return OK;
	if (throttle_refused_look(c->throttle, &r->auth.principal->id, loop_now(r->loop), f) != OK)
		return E_RATE_LIMITED;
	request_on_finish_in(r, &r->audit_end, at_end, r);
	return OK;
}

void audit_event(struct audit *a, struct request *r, const struct id *user, struct str email,
    enum err outcome)
{
	struct audit_record rec = { .at = clock_wall(), .method = STR("none"), .has_actor = true,
		.actor = *user, .actor_kind = STR("user"), .actor_name = email };

	if (a == NULL)
		return;
	add_request(r, &rec);
	rec.outcome = outcome == OK ? STR("ok") : str_c(err_code(outcome));
	(void)audit_post(a, &rec);
}
