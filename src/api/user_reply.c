#include "api/user_reply.h"

#include "api/etag.h"
#include "crypto/jwt.h"
#include "iam/session.h"
#include "iam/user.h"

void user_write(struct jsonw *w, const struct user *u)
{
	jsonw_obj(w);
	jsonw_kid(w, "id", u->id);
	jsonw_kstr(w, "email", u->email);
	jsonw_kstr(w, "display_name", u->display_name);
	jsonw_kbool(w, "email_verified", u->email_verified_at != 0);
	jsonw_kbool(w, "disabled", u->disabled);
	jsonw_kbool(w, "has_password", u->phc.p != NULL);
	jsonw_ktime(w, "created_at", u->created_at);
	jsonw_ktime(w, "updated_at", u->updated_at);
	etag_write(w, u->version);
	jsonw_obj_end(w);
}

void session_write(struct jsonw *w, const void *row)
{
	const struct session *s = row;

	jsonw_obj(w);
	jsonw_kid(w, "id", s->id);
	jsonw_key(w, "amr");
	jwt_amr_write(jwt_amr_parse(s->amr), w->out);
	w->comma = true;
	jsonw_kstr(w, "user_agent", s->user_agent);
	jsonw_kstr(w, "ip", s->ip);
	jsonw_ktime(w, "auth_time", s->auth_time);
	jsonw_ktime(w, "created_at", s->created_at);
	jsonw_ktime(w, "last_used_at", s->last_used_at);
	jsonw_ktime(w, "expires_at", s->idle_expires_at < s->expires_at ? s->idle_expires_at :
	    s->expires_at);
	jsonw_kbool(w, "current", s->current);
	jsonw_obj_end(w);
}
