#include <jansson.h>

#include "api/api.h"
#include "api/ctl.h"
#include "api/handlers.h"
#include "obs/obs.h"

struct step op_health(struct api *a, struct request *r)
{
	struct jsonw w = request_json(r, 200);

	(void)a;
	jsonw_obj(&w);
	jsonw_kz(&w, "status", "ok");
	jsonw_kz(&w, "version", GW_VERSION);
	jsonw_obj_end(&w);
	return request_reply(r);
}

struct step op_ready(struct api *a, struct request *r)
{
	struct ctl *c = api_ctl(a);
	const char *failing = c->not_ready(c);
	struct fail f = { 0 };
	struct jsonw w;
	struct step s;

	if (failing != NULL) {
		fail_set(&f, strcmp(failing, "draining") == 0 ? E_DRAINING : E_NOT_READY,
		    "the check \"%s\" fails", failing);
		fail_details_take(&f, json_pack("{s:s}", "check", failing));
		s = request_fail(r, &f);
		fail_clear(&f);
		return s;
	}
	w = request_json(r, 200);
	jsonw_obj(&w);
	jsonw_kz(&w, "status", "ok");
	jsonw_obj_end(&w);
	return request_reply(r);
}

enum err op_metrics(struct ctl *c, struct request *r, struct fail *f)
{
	(void)f;
	(void)request_json(r, 200);
	r->reply.content_type = STR("text/plain; version=0.0.4; charset=utf-8");
	obs_write(c->obs, &r->reply.buf);
	c->write_metrics(c, &r->reply.buf);
	return OK;
}
