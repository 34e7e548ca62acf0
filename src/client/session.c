#include "client/session.h"

#include <jansson.h>

#include "base/clock.h"
#include "base/heap.h"
#include "client/envelope.h"
#include "client/http.h"

#define MARGIN 15 /* seconds that an access token must still be good for */

static int64_t now_seconds(void)
{
	return clock_wall() / CLOCK_SEC;
}

static const char *text(const json_t *o, const char *key)
{
	return json_string_value(json_object_get(o, key));
}

enum err session_load(struct session *s)
{
	const json_t *context = contexts_get(&s->contexts, s->name);
	const char *access = text(context, "access_token");

	s->expires_at = json_integer_value(json_object_get(context, "expires_at"));
	secret_release(&s->access);
	return access != NULL ? secret_set(&s->access, access, strlen(access)) : OK;
}

void session_release(struct session *s)
{
	secret_release(&s->access);
	contexts_close(&s->contexts);
	heap_free(s->name);
	s->name = NULL;
}

/* ---- refresh ---- */

static bool good(const struct session *s)
{
	return s->access.n > 0 && s->expires_at > now_seconds() + MARGIN;
}

static enum err ended(struct fail *f)
{
	return fail_set(f, E_UNAUTHENTICATED, "not signed in, or the session has ended: "
	    "use 'gwctl login'");
}

/* The members of a token set that are kept, onto a context. */
static int put_tokens(json_t *context, const json_t *tokens)
{
	const json_t *user = json_object_get(tokens, "user");
	int64_t expires = now_seconds() + json_integer_value(json_object_get(tokens, "expires_in"));
	int rc = 0;

	rc |= json_object_set(context, "access_token", json_object_get(tokens, "access_token"));
	rc |= json_object_set(context, "refresh_token", json_object_get(tokens, "refresh_token"));
	rc |= json_object_set_new(context, "expires_at", json_integer(expires));
	if (json_object_get(tokens, "session_id") != NULL)
		rc |= json_object_set(context, "session_id", json_object_get(tokens, "session_id"));
	if (json_object_get(user, "id") != NULL)
		rc |= json_object_set(context, "user_id", json_object_get(user, "id"));
	if (json_object_get(user, "email") != NULL)
		rc |= json_object_set(context, "email", json_object_get(user, "email"));
	return rc;
}

static enum err exchange(struct http_client *http, const char *refresh, json_t **tokens,
    struct fail *f)
{
	json_t *body = json_pack("{ss}", "refresh_token", refresh);
	char *dumped = body != NULL ? json_dumps(body, JSON_COMPACT) : NULL;
	struct http_request q = {
		.method = "POST", .path = "/v1/auth/refresh", .content_type = "application/json",
		.body = str_c(dumped),
	};
	struct http_reply r;
	enum err e;

	http_reply_init(&r);
	e = dumped != NULL ? http_call(http, &q, &r, f) : E_NOMEM;
	if (e == OK)
		e = envelope_read(&r, tokens, f);
	if (e == OK && (text(*tokens, "access_token") == NULL || text(*tokens, "refresh_token") == NULL))
		e = fail_set(f, E_BAD_UPSTREAM, "the gateway's answer to the refresh has no tokens");
	http_reply_release(&r);
	if (dumped != NULL)
		secret_wipe(dumped, strlen(dumped));
	free(dumped);
	json_decref(body);
	return e;
}

/* With the lock held and the file just read. */
static enum err refresh_locked(struct session *s, struct http_client *http, struct fail *f)
{
	json_t *context = contexts_get(&s->contexts, s->name), *tokens = NULL;
	const char *refresh = text(context, "refresh_token");
	enum err e, saved;

	if (refresh == NULL)
		return ended(f);
	e = exchange(http, refresh, &tokens, f);
	if (e == OK && put_tokens(context, tokens) != 0)
		e = fail_set(f, E_NOMEM, "no memory");
	if (err_info(e)->http == 401) {
		json_object_del(context, "access_token");
		json_object_del(context, "refresh_token");
		secret_release(&s->access);
		saved = contexts_save(&s->contexts, f);
		e = saved == OK ? ended(f) : saved;
	} else if (e == OK) {
		e = contexts_save(&s->contexts, f);
	}
	json_decref(tokens);
	return e == OK ? session_load(s) : e;
}

enum err session_ensure(struct session *s, struct http_client *http, bool rejected, struct fail *f)
{
	struct secret tried = { 0 };
	enum err e = OK;

	if (s->name == NULL)
		return ended(f);
	if (good(s) && !rejected)
		return OK;
	if (s->access.n > 0)
		e = secret_set(&tried, s->access.p, s->access.n);
	if (e == OK)
		e = contexts_lock(&s->contexts, f);
	if (e == OK)
		e = session_load(s);
	/* another process may have refreshed while we waited */
	if (e == OK && (!good(s) || secret_eq(str_n((char *)tried.p, tried.n),
	    str_n((char *)s->access.p, s->access.n))))
		e = refresh_locked(s, http, f);
	contexts_unlock(&s->contexts);
	secret_release(&tried);
	return e;
}

/* ---- store and forget ---- */

static json_t *new_context(const struct http_client *http, const char *ca)
{
	json_t *o = json_pack("{s[],ss?}", "servers", "ca", ca);

	for (size_t i = 0; o != NULL && i < http_client_servers(http); i++)
		json_array_append_new(json_object_get(o, "servers"),
		    json_string(http_client_server(http, i)));
	return o;
}

static enum err put_context(struct session *s, const char *name, json_t *context, struct fail *f)
{
	json_t *all = json_object_get(s->contexts.root, "contexts");

	if (context == NULL || json_object_set_new(all, name, context) != 0 ||
	    json_object_set_new(s->contexts.root, "current", json_string(name)) != 0)
		return fail_set(f, E_NOMEM, "no memory");
	return contexts_save(&s->contexts, f);
}

enum err session_store(struct session *s, const struct http_client *http, const char *name,
    const char *ca, const struct json_t *tokens, struct fail *f)
{
	json_t *context = new_context(http, ca);
	char *copy = heap_strdup(name);
	enum err e = copy != NULL && context != NULL && put_tokens(context, tokens) == 0 ?
	    contexts_lock(&s->contexts, f) : fail_set(f, E_NOMEM, "no memory");

	if (e != OK) {
		json_decref(context);
		heap_free(copy);
		return e;
	}
	heap_free(s->name);
	s->name = copy;
	e = put_context(s, name, context, f);
	if (e == OK)
		e = session_load(s);
	contexts_unlock(&s->contexts);
	return e;
}

enum err session_forget(struct session *s, struct fail *f)
{
	enum err e = contexts_lock(&s->contexts, f);
	const char *current;

	if (e != OK)
		return e;
	current = contexts_current(&s->contexts);
	if (current != NULL && strcmp(current, s->name) == 0)
		json_object_set_new(s->contexts.root, "current", json_null());
	json_object_del(json_object_get(s->contexts.root, "contexts"), s->name);
	e = contexts_save(&s->contexts, f);
	contexts_unlock(&s->contexts);
	secret_release(&s->access);
	return e;
}
