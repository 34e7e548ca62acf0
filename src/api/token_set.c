#include "api/token_set.h"

#include "api/ctl.h"
#include "base/clock.h"
#include "base/config.h"
#include "crypto/jwt.h"
#include "crypto/keyring.h"
#include "request/request.h"

struct session_limits session_limits_of(const struct config *c)
{
	return (struct session_limits){
		.idle = c->auth_refresh_ttl,
		.max_age = c->auth_session_max_age,
		.grace = c->auth_refresh_grace,
	};
}

static int64_t earlier(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

/* In seconds. A token's times are whole seconds, so one that was issued for all of `life` has up to one
 * less; what its session has cut short is told as it is. */
static int64_t told_life(int64_t left, int64_t life)
{
	return left > life - CLOCK_SEC ? life / CLOCK_SEC : (left + CLOCK_SEC / 2) / CLOCK_SEC;
}

/* No token outlives its session: neither limit, of which the idle one is never the later. */
enum err token_issue(struct ctl *c, const struct session *s, int64_t now, int64_t *expires_in,
    struct buf *out, struct fail *f)
{
	struct keyring *keys = c->keys(c);
	struct jwt_access claims = {
		.sub = s->principal,
		.sid = s->id,
		.jti = id_new(now),
		.iat = now / CLOCK_SEC,
		.exp = earlier(now + c->config->auth_access_ttl, s->idle_expires_at) / CLOCK_SEC,
		.auth_time = s->auth_time / CLOCK_SEC,
		.amr = jwt_amr_parse(s->amr),
		.iss = c->issuer,
		.aud = { c->audience },
	};
	enum err e = keys != NULL ? jwt_access_issue(keys, &claims, out) : E_NOT_READY;

	keyring_unref(keys);
	*expires_in = told_life(claims.exp * CLOCK_SEC - now, c->config->auth_access_ttl);
	return e == OK ? OK : fail_set(f, e, "an access token could not be issued");
}

enum err token_set_reply(struct ctl *c, struct request *r, const struct session *s,
    const char refresh[REFRESH_TOKEN_LEN], int64_t now, struct fail *f)
{
	struct buf access;
	struct jsonw w;
	int64_t expires_in;
	enum err e;

	buf_init(&access, 8192);
	e = token_issue(c, s, now, &expires_in, &access, f);
	if (e != OK)
		goto out;
	w = request_json(r, 200);
	jsonw_obj(&w);
	jsonw_kstr(&w, "access_token", buf_str(&access));
	jsonw_kz(&w, "token_type", "Bearer");
	jsonw_kint(&w, "expires_in", expires_in);
	jsonw_kz(&w, "refresh_token", refresh);
	jsonw_kint(&w, "refresh_expires_in", (s->idle_expires_at - now) / CLOCK_SEC);
	jsonw_kid(&w, "session_id", s->id);
	jsonw_key(&w, "user");
	jsonw_obj(&w);
	jsonw_kid(&w, "id", s->principal);
	jsonw_kstr(&w, "email", s->email);
	jsonw_obj_end(&w);
	jsonw_obj_end(&w);
out:
	buf_release(&access);
	return e;
}
