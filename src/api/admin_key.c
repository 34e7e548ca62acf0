/* /admin/keys */
#include "api/body.h"
#include "api/commit.h"
#include "api/ctl.h"
#include "api/handlers.h"
#include "api/key_rotation.h"
#include "api/page.h"
#include "base/clock.h"
#include "iam/signing_key.h"
#include "iam/write.h"

enum err op_key_list(struct ctl *c, struct request *r, struct fail *f)
{
	struct signing_key *k;
	struct jsonw w;
	size_t n;
	enum err e = signing_key_list(c->store, &r->arena, &k, &n, f);

	if (e != OK)
		return e;
	w = page_begin(r);
	for (size_t i = 0; i < n; i++) {
		jsonw_obj(&w);
		jsonw_kstr(&w, "kid", k[i].kid);
		jsonw_kstr(&w, "alg", k[i].alg);
		jsonw_kstr(&w, "state", k[i].state);
		jsonw_ktime_or_null(&w, "not_after", k[i].not_after);
		jsonw_ktime(&w, "created_at", k[i].created_at);
		jsonw_ktime(&w, "updated_at", k[i].updated_at);
		jsonw_obj_end(&w);
	}
	page_end_only(&w);
	return OK;
}

enum err op_key_rotate(struct ctl *c, struct request *r, struct fail *f)
{
	struct write w;
	struct jsonw j;
	struct str kid;
	enum err e = body_none(r, f);

	if (e != OK)
		return e;
	write_init(&w, &r->arena, clock_wall());
	e = signing_key_rotate(&w, c->store, c->seal, key_keep_us(c->config), &kid, f);
	if (e != OK)
		return e;
	j = request_json(r, 200);
	jsonw_obj(&j);
	jsonw_kstr(&j, "kid", kid);
	jsonw_kz(&j, "state", "active");
	jsonw_obj_end(&j);
	return commit(c, r, &w, f);
}

enum err op_key_revoke(struct ctl *c, struct request *r, struct fail *f)
{
	struct str active;
	struct write w;
	struct jsonw j;
	enum err e = body_none(r, f);

	if (e != OK)
		return e;
	write_init(&w, &r->arena, clock_wall());
	e = signing_key_revoke(&w, c->store, c->seal, r->param[0], &active, f);
	if (e != OK)
		return e;
	j = request_json(r, 200);
	jsonw_obj(&j);
	jsonw_kstr(&j, "kid", r->param[0]);
	jsonw_kz(&j, "state", "revoked");
	jsonw_kstr(&j, "active", active);
	jsonw_obj_end(&j);
	return commit(c, r, &w, f);
}
