/* gwctl login, logout and context: sessions and where they are kept. */
#include <jansson.h>
#include <string.h>

#include "base/clock.h"
#include "client/client.h"
#include "client/contexts.h"
#include "gwctl.h"
#include "prompt.h"

/* What --dry-run says: whose context it is about. */
static enum err print_plan(struct gwctl *g, const char *context)
{
	const struct print p = { g->print.out, g->print.format, "context" };
	json_t *o = json_pack("{sb,ss?}", "dry_run", 1, "context", context);
	enum err e = o != NULL ? print_object(&p, o) : E_NOMEM;

	json_decref(o);
	return e;
}

/* ---- login ---- */

static enum err ask_code(void *ctx, struct secret *out, struct fail *f)
{
	const char *file = gwctl_arg(ctx, "--code-file");

	return file != NULL ? prompt_secret_file(file, out, f) :
	    prompt_secret("code of the second factor", out, f);
}

static enum err print_session(struct gwctl *g, const json_t *tokens, const char *email)
{
	int64_t expires = clock_wall() +
	    json_integer_value(json_object_get(tokens, "refresh_expires_in")) * CLOCK_SEC;
	char at[CLOCK_RFC3339_LEN];
	json_t *o = json_pack("{ss,ss,ss}", "context", client_context(g->client), "email", email,
	    "expires_at", clock_rfc3339(expires, at));
	enum err e = o != NULL ? print_object(&g->print, o) : E_NOMEM;

	json_decref(o);
	return e;
}

static enum err sign_in(struct gwctl *g, const struct secret *password, struct fail *f)
{
	struct client_signin s = { .email = gwctl_arg(g, "--email"), .password = password,
		.code = ask_code, .ctx = g };
	struct client_reply r;
	enum err e;

	if (!client_is_private(g->client))
		fputs("gwctl: warning: the password goes over plain http to another machine\n", stderr);
	e = client_signin(g->client, &s, &r, f);
	if (e == OK)
		e = print_session(g, r.body, s.email);
	else
		snprintf(g->request_id, sizeof g->request_id, "%s", r.request_id);
	client_reply_release(&r);
	return e;
}

enum err login_run(struct gwctl *g, struct fail *f)
{
	const char *file = gwctl_arg(g, "--password-file");
	struct secret password = { 0 };
	enum err e = gwctl_client(g, f);

	if (e != OK)
		return e;
	e = file != NULL ? prompt_secret_file(file, &password, f) :
	    prompt_secret("password", &password, f);
	if (e == OK)
		e = sign_in(g, &password, f);
	secret_release(&password);
	return e;
}

enum err logout_run(struct gwctl *g, struct fail *f)
{
	enum err e = gwctl_client(g, f);

	if (e != OK)
		return e;
	if (args_has(&g->args, "--dry-run"))
		return print_plan(g, client_context(g->client));
	return client_signout(g->client, args_has(&g->args, "--everywhere"), f);
}

/* ---- context ---- */

/* What may be shown of a context: never its tokens. */
static json_t *shown(const struct contexts *c, const char *name, const json_t *context)
{
	const char *current = contexts_current(c);
	json_t *email = json_object_get(context, "email"), *ca = json_object_get(context, "ca");

	return json_pack("{ss,ss,sO,sO?,sO?,sb}", "name", name, "current",
	    current != NULL && strcmp(current, name) == 0 ? "*" : "", "servers",
	    json_object_get(context, "servers"), "email", email, "ca", ca, "signed_in",
	    json_object_get(context, "refresh_token") != NULL);
}

static enum err print_context(struct gwctl *g, const struct contexts *c, const char *name)
{
	json_t *o = shown(c, name, contexts_get(c, name));
	enum err e = o != NULL ? print_object(&g->print, o) : E_NOMEM;

	json_decref(o);
	return e;
}

static enum err no_context(const char *name, struct fail *f)
{
	return fail_set(f, E_NOT_FOUND, "there is no context '%s'; see 'gwctl context list'", name);
}

enum err context_list_run(struct gwctl *g, struct fail *f)
{
	json_t *rows = json_array(), *context;
	struct contexts c;
	const char *name;
	enum err e = contexts_open(&c, NULL, f);

	if (e == OK) {
		json_object_foreach(json_object_get(c.root, "contexts"), name, context)
			json_array_append_new(rows, shown(&c, name, context));
		e = print_list(&g->print, rows, NULL);
	}
	json_decref(rows);
	contexts_close(&c);
	return e;
}

enum err context_show_run(struct gwctl *g, struct fail *f)
{
	struct contexts c;
	const char *name;
	enum err e = contexts_open(&c, NULL, f);

	if (e != OK)
		return e;
	name = gwctl_arg(g, "--context");
	if (name == NULL)
		name = contexts_current(&c);
	if (name == NULL)
		e = fail_set(f, E_NOT_FOUND, "no context is in use; see 'gwctl login'");
	else
		e = contexts_get(&c, name) != NULL ? print_context(g, &c, name) : no_context(name, f);
	contexts_close(&c);
	return e;
}

/* Under the lock: change(root, name), then save. */
static enum err change(struct gwctl *g, void (*how)(json_t *root, const char *name), struct fail *f)
{
	const char *name = gwctl_arg(g, "NAME");
	struct contexts c;
	enum err e = contexts_open(&c, NULL, f);

	if (e == OK)
		e = contexts_lock(&c, f);
	if (e == OK && contexts_get(&c, name) == NULL)
		e = no_context(name, f);
	if (e == OK && args_has(&g->args, "--dry-run")) {
		e = print_plan(g, name);
	} else if (e == OK) {
		how(c.root, name);
		e = contexts_save(&c, f);
	}
	contexts_close(&c);
	return e;
}

static void use(json_t *root, const char *name)
{
	json_object_set_new(root, "current", json_string(name));
}

static void drop(json_t *root, const char *name)
{
	const char *current = json_string_value(json_object_get(root, "current"));

	if (current != NULL && strcmp(current, name) == 0)
		json_object_set_new(root, "current", json_null());
	json_object_del(json_object_get(root, "contexts"), name);
}

enum err context_use_run(struct gwctl *g, struct fail *f)
{
	return change(g, use, f);
}

enum err context_delete_run(struct gwctl *g, struct fail *f)
{
	return change(g, drop, f);
}
