#include "client/client.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/buf.h"
#include "base/heap.h"
#include "client/envelope.h"
#include "client/http.h"
#include "client/session.h"

struct client {
	struct http_client *http;
	struct session session;
	struct secret token; /* instead of a session */
	char *wanted;        /* name of the context to make; NULL: made from the server */
	char *ca;
};

/* ---- which context, which servers ---- */

/* The context of the session that these servers may see, in s->name. */
static enum err select_context(struct session *s, const struct client_config *c, struct fail *f)
{
	const char *name = c->context;
	const json_t *context;

	if (name == NULL)
		name = c->servers != NULL ? contexts_by_servers(&s->contexts, c->servers) :
		    contexts_current(&s->contexts);
	context = contexts_get(&s->contexts, name);
	if (context == NULL && c->context != NULL && !c->new_context)
		return fail_set(f, E_USAGE, "there is no context '%s'; see 'gwctl context list'", name);
	/* never show a session to a server that it is not of */
	if (context == NULL || (c->servers != NULL && !context_has_servers(context, c->servers)))
		return OK;
	s->name = heap_strdup(name);
	return s->name != NULL && session_load(s) == OK ? OK : fail_set(f, E_NOMEM, "no memory");
}

static enum err server_list(const struct client_config *c, const json_t *context, struct buf *out,
    struct fail *f)
{
	const json_t *list = json_object_get(context, "servers");

	if (c->servers != NULL)
		buf_addz(out, c->servers);
	else
		for (size_t i = 0; i < json_array_size(list); i++)
			buf_printf(out, "%s%s", i > 0 ? "," : "", json_string_value(json_array_get(list, i)));
	if (out->n == 0)
		return fail_set(f, E_USAGE, "which gateway? give --server URL, or sign in with 'gwctl login'");
	return buf_cstr(out) != NULL && !out->failed ? OK : fail_set(f, E_NOMEM, "no memory");
}

static enum err connect(struct client *c, const struct client_config *conf, struct fail *f)
{
	const json_t *context = contexts_get(&c->session.contexts, c->session.name);
	const char *ca = conf->ca != NULL ? conf->ca :
	    json_string_value(json_object_get(context, "ca"));
	struct http_client_config hc = { .ca = ca, .user_agent = conf->user_agent,
		.timeout_us = conf->timeout_us };
	struct buf servers;
	enum err e;

	buf_init(&servers, 8192);
	e = server_list(conf, context, &servers, f);
	if (e == OK && ca != NULL && (c->ca = heap_strdup(ca)) == NULL)
		e = fail_set(f, E_NOMEM, "no memory");
	hc.servers = servers.p;
	if (e == OK)
		e = http_client_new(&hc, &c->http, f);
	buf_release(&servers);
	return e;
}

enum err client_new(const struct client_config *conf, struct client **out, struct fail *f)
{
	struct client *c = heap_zalloc(sizeof *c);
	enum err e;

	*out = NULL;
	if (c == NULL)
		return fail_set(f, E_NOMEM, "no memory");
	e = contexts_open(&c->session.contexts, conf->dir, f);
	if (e == OK)
		e = select_context(&c->session, conf, f);
	if (e == OK)
		e = connect(c, conf, f);
	if (e == OK && conf->token != NULL)
		e = secret_set(&c->token, conf->token, strlen(conf->token));
	if (e == OK && conf->context != NULL && (c->wanted = heap_strdup(conf->context)) == NULL)
		e = fail_set(f, E_NOMEM, "no memory");
	if (e == OK)
		*out = c;
	else
		client_free(c);
	return e;
}

void client_free(struct client *c)
{
	if (c == NULL)
		return;
	http_client_free(c->http);
	session_release(&c->session);
	secret_release(&c->token);
	heap_free(c->wanted);
	heap_free(c->ca);
	heap_free(c);
}

const char *client_context(const struct client *c)
{
	return c->session.name;
}

static bool is_loopback(const char *url)
{
	static const char *const hosts[] = { "http://127.", "http://localhost", "http://[::1]" };

	for (size_t i = 0; i < sizeof hosts / sizeof *hosts; i++)
		if (strncmp(url, hosts[i], strlen(hosts[i])) == 0)
			return true;
	return false;
}

bool client_is_private(const struct client *c)
{
	for (size_t i = 0; i < http_client_servers(c->http); i++) {
		const char *url = http_client_server(c->http, i);

		if (strncmp(url, "https://", 8) != 0 && !is_loopback(url))
			return false;
	}
	return true;
}

/* ---- calls ---- */

void client_reply_release(struct client_reply *r)
{
	json_decref(r->body);
	*r = (struct client_reply){ 0 };
}

static enum err send_once(struct client *c, const struct client_request *q, struct str body,
    struct client_reply *out, struct fail *f)
{
	const struct secret *s = c->token.n > 0 ? &c->token : &c->session.access;
	struct http_request hq = {
		.method = q->method, .path = q->path, .body = body,
		.content_type = q->merge_patch ? "application/merge-patch+json" : "application/json",
		.bearer = q->anonymous ? STR_NONE : str_n((char *)s->p, s->n),
		.if_match = q->if_match, .idempotency_key = q->idempotency_key,
	};
	struct http_reply r;
	enum err e;

	*out = (struct client_reply){ 0 };
	http_reply_init(&r);
	e = http_call(c->http, &hq, &r, f);
	if (e == OK)
		e = envelope_read(&r, &out->body, f);
	out->status = r.status;
	memcpy(out->etag, r.etag, sizeof out->etag);
	memcpy(out->request_id, r.request_id, sizeof out->request_id);
	http_reply_release(&r);
	return e;
}

/* A session that the gateway no longer takes is refreshed once, and the call repeated. */
static enum err send_with_session(struct client *c, const struct client_request *q, struct str body,
    struct client_reply *r, struct fail *f)
{
	enum err e = session_ensure(&c->session, c->http, false, f);

	*r = (struct client_reply){ 0 };
	if (e != OK)
		return e;
	e = send_once(c, q, body, r, f);
	if (r->status != 401)
		return e;
	client_reply_release(r);
	e = session_ensure(&c->session, c->http, true, f);
	return e == OK ? send_once(c, q, body, r, f) : e;
}

enum err client_call(struct client *c, const struct client_request *q, struct client_reply *r,
    struct fail *f)
{
	char *text = q->body != NULL ? json_dumps(q->body, JSON_COMPACT) : NULL;
	enum err e;

	*r = (struct client_reply){ 0 };
	if (q->body != NULL && text == NULL)
		return fail_set(f, E_NOMEM, "no memory");
	if (q->anonymous || c->token.n > 0)
		e = send_once(c, q, str_c(text), r, f);
	else
		e = send_with_session(c, q, str_c(text), r, f);
	if (text != NULL)
		secret_wipe(text, strlen(text)); /* it may carry a password */
	free(text);
	return e;
}

bool client_escape(char *p, size_t cap, const char *s)
{
	static const char plain[] = "-._~";
	size_t n = strlen(p);

	for (; *s != '\0'; s++) {
		unsigned char ch = (unsigned char)*s;
		bool ok = (ch >= '0' && ch <= '9') || (ch >= 'a' && ch <= 'z') || (ch >= 'A' && ch <= 'Z') ||
		    strchr(plain, ch) != NULL;

		if (n + (ok ? 1 : 3) >= cap)
			return false;
		n += (size_t)snprintf(p + n, cap - n, ok ? "%c" : "%%%02X", ch);
	}
	return true;
}

/* ---- signing in and out ---- */

static json_t *secret_json(const struct secret *s)
{
	return json_stringn((const char *)s->p, s->n);
}

static enum err post(struct client *c, const char *path, json_t *body_taken, struct client_reply *r,
    struct fail *f)
{
	struct client_request q = { .method = "POST", .path = path, .body = body_taken,
		.anonymous = true };
	enum err e = body_taken != NULL ? client_call(c, &q, r, f) :
	    fail_set(f, E_INVALID_FIELD, "the input is not UTF-8");

	json_decref(body_taken);
	return e;
}

static enum err second_factor(struct client *c, const struct client_signin *s,
    struct client_reply *r, struct fail *f)
{
	json_t *token = json_incref(json_object_get(f->details, "mfa_token"));
	struct secret code = { 0 };
	enum err e = s->code(s->ctx, &code, f);

	client_reply_release(r);
	if (e == OK)
		e = post(c, "/v1/auth/mfa/verify", json_pack("{sO?,so}", "mfa_token", token, "code",
		    secret_json(&code)), r, f);
	secret_release(&code);
	json_decref(token);
	return e;
}

/* A name for a context that got none: host and port of its first server. */
static const char *default_name(const struct client *c)
{
	return strstr(http_client_server(c->http, 0), "://") + 3;
}

enum err client_signin(struct client *c, const struct client_signin *s, struct client_reply *r,
    struct fail *f)
{
	const char *name = c->wanted != NULL ? c->wanted :
	    c->session.name != NULL ? c->session.name : default_name(c);
	char *copy = heap_strdup(name); /* storing replaces session.name */
	enum err e;

	*r = (struct client_reply){ 0 };
	if (copy == NULL)
		return fail_set(f, E_NOMEM, "no memory");
	e = post(c, "/v1/auth/signin", json_pack("{ss,so}", "email", s->email, "password",
	    secret_json(s->password)), r, f);
	if (e == E_MFA_REQUIRED && s->code != NULL)
		e = second_factor(c, s, r, f);
	if (e == OK && json_string_value(json_object_get(r->body, "access_token")) == NULL)
		e = fail_set(f, E_BAD_UPSTREAM, "the gateway's answer to the sign-in has no tokens");
	if (e == OK)
		e = session_store(&c->session, c->http, copy, c->ca, r->body, f);
	heap_free(copy);
	return e;
}

enum err client_signout(struct client *c, bool everywhere, struct fail *f)
{
	json_t *body = everywhere ? json_pack("{sb}", "everywhere", 1) : json_object();
	struct client_request q = { .method = "POST", .path = "/v1/auth/signout", .body = body };
	struct client_reply r;
	enum err e;

	if (c->session.name == NULL) {
		json_decref(body);
		return fail_set(f, E_UNAUTHENTICATED, "not signed in there");
	}
	e = client_call(c, &q, &r, f);
	client_reply_release(&r);
	json_decref(body);
	if (e == E_UNAUTHENTICATED)
		e = OK;
	return e == OK ? session_forget(&c->session, f) : e;
}
