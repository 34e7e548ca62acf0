#include "api/routing_reply.h"

#include "api/ctl.h"
#include "api/etag.h"
#include "request/op.h"
#include "request/request.h"
#include "routing/store_source.h"
#include "routing/table.h"

enum err routing_stored(struct ctl *c, struct route_table **out, struct fail *f)
{
	struct route_table *have = c->routes(c);
	enum err e = route_revision_follow(c->store, have, out, f);

	route_table_unref(have);
	return e;
}

static bool prefers_minimal(const struct request *r)
{
	return r->op->mutates && header_lists(request_header(r, STR("prefer")), STR("return=minimal"));
}

static enum err document(struct request *r, const struct route_table *t)
{
	struct jsonw w = request_json(r, 200);

	if (route_table_revision(t) > 0)
		return route_table_write(t, &r->reply.buf);
	jsonw_obj(&w);
	jsonw_kint(&w, "revision", 0);
	jsonw_obj_end(&w);
	return OK;
}

static enum err minimal(struct request *r, const struct route_table *t)
{
	struct jsonw w = request_json(r, 200);

	jsonw_obj(&w);
	jsonw_kint(&w, "revision", route_table_revision(t));
	jsonw_obj_end(&w);
	return reply_header(r, STR("preference-applied"), STR("return=minimal"));
}

enum err routing_reply(struct request *r, const struct route_table *t, struct fail *f)
{
	enum err e = prefers_minimal(r) ? minimal(r, t) : document(r, t);

	if (e == OK)
		e = etag_header(r, route_table_revision(t));
	return e == OK ? OK : fail_code(f, e);
}
