#include "rest.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/id.h"
#include "base/secret.h"
#include "base/str.h"
#include "client/client.h"
#include "gwctl.h"
#include "prompt.h"

#define PAGE 500

static enum err nomem(struct fail *f)
{
	return fail_set(f, E_NOMEM, "no memory");
}

enum err rest_call(struct gwctl *g, const struct client_request *q, struct client_reply *r,
    struct fail *f)
{
	struct client_request with_key = *q;
	char key[ID_TEXT_LEN];
	enum err e;

	if (strcmp(q->method, "POST") == 0 && q->idempotency_key == NULL)
		with_key.idempotency_key = id_text(id_new(clock_wall()), key);
	e = client_call(g->client, &with_key, r, f);
	if (e != OK)
		snprintf(g->request_id, sizeof g->request_id, "%s", r->request_id);
	return e;
}

enum err rest_get(struct gwctl *g, const char *path, json_t **out, struct fail *f)
{
	struct client_request q = { .method = "GET", .path = path };
	struct client_reply r;
	enum err e = rest_call(g, &q, &r, f);

	*out = e == OK ? json_incref(r.body) : NULL;
	client_reply_release(&r);
	return e;
}

/* ---- arguments ---- */

static enum err too_long(struct fail *f)
{
	return fail_set(f, E_USAGE, "the arguments are too long");
}

/* The id of the user with this e-mail. */
static enum err find_user(struct gwctl *g, const char *email, char *id, size_t cap, struct fail *f)
{
	char path[REST_PATH_MAX] = "/admin/users?email=";
	const char *found;
	json_t *o = NULL;
	enum err e;

	if (!client_escape(path, sizeof path, email))
		return too_long(f);
	e = rest_get(g, path, &o, f);
	found = json_string_value(json_object_get(json_array_get(json_object_get(o, "items"), 0), "id"));
	if (e == OK && found == NULL)
		e = fail_set(f, E_NOT_FOUND, "there is no user %s", email);
	else if (e == OK)
		snprintf(id, cap, "%s", found);
	json_decref(o);
	return e;
}

/* What goes to the gateway for a value: e-mail addresses become ids. */
static enum err resolve(struct gwctl *g, const struct arg *a, const char *value, char *out, size_t cap,
    struct fail *f)
{
	bool by_email = (a->type == ARG_USER || a->type == ARG_PRINCIPAL) && strchr(value, '@') != NULL;

	if (by_email)
		return find_user(g, value, out, cap, f);
	return (size_t)snprintf(out, cap, "%s", value) < cap ? OK : too_long(f);
}

/* "command.submit:order*" */
static json_t *grant(const char *text)
{
	struct str resource, right = str_cut(str_c(text), ':', &resource);

	return resource.n > 0 ? json_pack("{ss%,ss%}", "right", right.p, right.n, "resource", resource.p,
	    resource.n) : json_pack("{ss%}", "right", right.p, right.n);
}

/* file NULL: from the person at the terminal. */
static enum err secret_value(const struct arg *a, const char *file, json_t **out, struct fail *f)
{
	struct secret s = { 0 };
	enum err e = file != NULL ? prompt_secret_file(file, &s, f) :
	    prompt_new_secret(a->field, &s, f);

	if (e == OK) {
		*out = json_stringn((char *)s.p, s.n);
		if (*out == NULL)
			e = fail_set(f, E_USAGE, "%s: not UTF-8", a->field);
	}
	secret_release(&s);
	return e;
}

static enum err body_value(struct gwctl *g, const struct arg *a, const char *value, json_t **out,
    struct fail *f)
{
	char text[REST_PATH_MAX];
	enum err e = OK;

	switch (a->type) {
	case ARG_FLAG:
		*out = json_true();
		break;
	case ARG_BOOL:
		*out = json_boolean(strcmp(value, "true") == 0);
		break;
	case ARG_INT:
		*out = json_integer(atoll(value));
		break;
	case ARG_GRANT:
		*out = grant(value);
		break;
	case ARG_SECRET:
		return secret_value(a, value, out, f);
	case ARG_TEXT:
	case ARG_USER:
	case ARG_PRINCIPAL:
		e = resolve(g, a, value, text, sizeof text, f);
		*out = e == OK ? json_string(text) : NULL;
		break;
	}
	if (e == OK && *out == NULL)
		e = fail_set(f, E_USAGE, "%s: not UTF-8", a->name);
	return e;
}

static enum err add_member(json_t *body, const struct arg *a, json_t *v_taken, struct fail *f)
{
	json_t *list;

	if (!a->many)
		return json_object_set_new(body, a->field, v_taken) == 0 ? OK : nomem(f);
	list = json_object_get(body, a->field);
	if (list == NULL) {
		list = json_array();
		if (list == NULL || json_object_set_new(body, a->field, list) != 0) {
			json_decref(v_taken);
			return nomem(f);
		}
	}
	return json_array_append_new(list, v_taken) == 0 ? OK : nomem(f);
}

static enum err ask_for_secrets(struct gwctl *g, json_t *body, struct fail *f)
{
	json_t *v = NULL;
	enum err e = OK;

	for (const struct arg *a = g->args.cmd->args; e == OK && a != NULL && a->name != NULL; a++) {
		if (!a->ask || args_has(&g->args, a->name))
			continue;
		e = secret_value(a, NULL, &v, f);
		if (e == OK)
			e = add_member(body, a, v, f);
	}
	return e;
}

/* NULL for methods that have none. */
static enum err make_body(struct gwctl *g, json_t **out, struct fail *f)
{
	const struct command *c = g->args.cmd;
	json_t *body = json_loads(c->body != NULL ? c->body : "{}", 0, NULL), *v;
	enum err e = body != NULL ? OK : nomem(f);

	*out = NULL;
	for (size_t i = 0; e == OK && i < g->args.n; i++) {
		const struct arg *a = g->args.v[i].arg;

		if (a->to != TO_BODY)
			continue;
		v = NULL;
		e = body_value(g, a, g->args.v[i].value, &v, f);
		if (e == OK)
			e = add_member(body, a, v, f);
	}
	if (e == OK)
		e = ask_for_secrets(g, body, f);
	if (e == OK && strcmp(c->method, "DELETE") != 0)
		*out = body;
	else
		json_decref(body);
	return e;
}

/* "/admin/users/{USER}" with the operand in its place. */
static enum err make_path(struct gwctl *g, char *path, size_t cap, struct fail *f)
{
	const char *from = g->args.cmd->path;
	char name[32], value[REST_PATH_MAX];
	enum err e = OK;
	size_t n = 0;

	path[0] = '\0';
	while (e == OK && *from != '\0' && n + 1 < cap) {
		size_t len = strcspn(from, "}");

		if (*from != '{') {
			path[n++] = *from++;
			path[n] = '\0';
			continue;
		}
		snprintf(name, sizeof name, "%.*s", (int)len - 1, from + 1);
		for (const struct arg *a = g->args.cmd->args; e == OK && a->name != NULL; a++)
			if (strcmp(a->name, name) == 0)
				e = resolve(g, a, gwctl_arg(g, name), value, sizeof value, f);
		/* an empty one would name the whole collection */
		if (e == OK && value[0] == '\0')
			e = fail_set(f, E_USAGE, "%s must not be empty", name);
		if (e == OK && !client_escape(path, cap, value))
			e = too_long(f);
		n = strlen(path);
		from += len + 1;
	}
	return e;
}

static enum err add_query(struct gwctl *g, char *path, size_t cap, struct fail *f)
{
	char value[REST_PATH_MAX];
	enum err e = OK;

	for (size_t i = 0; e == OK && i < g->args.n; i++) {
		const struct arg *a = g->args.v[i].arg;
		size_t n = strlen(path);

		if (a->to != TO_QUERY)
			continue;
		e = resolve(g, a, g->args.v[i].value, value, sizeof value, f);
		if (e == OK && (size_t)snprintf(path + n, cap - n, "%c%s=", strchr(path, '?') != NULL ? '&' :
		    '?', a->field) >= cap - n)
			e = too_long(f);
		if (e == OK && !client_escape(path, cap, value))
			e = too_long(f);
	}
	return e;
}

/* ---- reading ---- */

/* One page onto the rows; *next is the token of the page after it, NULL at the end. */
static enum err get_page(struct gwctl *g, const char *path, size_t want, json_t *rows, json_t **next,
    struct fail *f)
{
	char url[REST_PATH_MAX + 1024];
	const char *token = json_string_value(*next);
	json_t *o = NULL;
	enum err e;

	snprintf(url, sizeof url, "%s%cpage_size=%zu%s", path, strchr(path, '?') != NULL ? '&' : '?',
	    want < PAGE ? want : (size_t)PAGE, token != NULL ? "&page_token=" : "");
	if (token != NULL && !client_escape(url, sizeof url, token))
		return too_long(f);
	e = rest_get(g, url, &o, f);
	if (e == OK && !json_is_array(json_object_get(o, "items")))
		e = fail_set(f, E_BAD_UPSTREAM, "the answer is not a list");
	if (e == OK && json_array_extend(rows, json_object_get(o, "items")) != 0)
		e = nomem(f);
	json_decref(*next);
	*next = json_incref(json_object_get(o, "next_page_token"));
	json_decref(o);
	return e;
}

static enum err run_list(struct gwctl *g, const char *path, struct fail *f)
{
	const char *limit = gwctl_arg(g, "--limit");
	size_t max = limit != NULL ? strtoull(limit, NULL, 10) : SIZE_MAX;
	json_t *rows = json_array(), *next = NULL;
	enum err e = rows != NULL ? OK : nomem(f);

	while (e == OK && json_array_size(rows) < max) {
		e = get_page(g, path, max - json_array_size(rows), rows, &next, f);
		if (json_string_value(next) == NULL)
			break;
	}
	if (e == OK)
		e = print_list(&g->print, rows, json_string_value(next));
	json_decref(next);
	json_decref(rows);
	return e;
}

static enum err print_answer(struct gwctl *g, const json_t *o)
{
	bool plain = g->print.format == FORMAT_TABLE || g->print.format == FORMAT_TSV;
	const json_t *items = json_object_get(o, "items");

	if (plain && g->args.cmd->show != NULL)
		return g->args.cmd->show(g, o);
	/* some lists are answered whole */
	return json_is_array(items) ? print_list(&g->print, items, NULL) : print_object(&g->print, o);
}

static enum err run_get(struct gwctl *g, const char *path, struct fail *f)
{
	json_t *o = NULL;
	enum err e = rest_get(g, path, &o, f);

	if (e == OK && o != NULL)
		e = print_answer(g, o);
	json_decref(o);
	return e;
}

/* ---- changing ---- */

static enum err print_plan(struct gwctl *g, const char *path, json_t *body)
{
	const struct print p = { g->print.out, g->print.format, "method,path,body" };
	json_t *shown = body != NULL ? json_copy(body) : json_null(), *o;
	enum err e;

	if (json_object_get(shown, "password") != NULL)
		json_object_set_new(shown, "password", json_string("(not shown)"));
	o = json_pack("{sb,ss,ss,so}", "dry_run", 1, "method", g->args.cmd->method, "path", path, "body",
	    shown);
	e = o != NULL ? print_object(&p, o) : E_NOMEM;
	json_decref(o);
	return e;
}

static enum err confirm(struct gwctl *g, struct fail *f)
{
	const struct command *c = g->args.cmd;
	const struct arg *operand = c->args;
	const char *what = "";
	char question[512];

	for (; operand != NULL && operand->name != NULL; operand++)
		if (!arg_is_option(operand)) {
			what = gwctl_arg(g, operand->name);
			break;
		}
	snprintf(question, sizeof question, "%s %s %s?", c->noun, c->verb, what);
	return gwctl_confirm(g, question, f);
}

enum err rest_change(struct gwctl *g, const char *path, json_t *body, struct fail *f)
{
	const struct command *c = g->args.cmd;
	bool patches = (c->flags & CMD_PATCHES) != 0;
	struct client_request q = { .method = c->method, .path = path, .body = body,
		.merge_patch = patches, .if_match = patches ? "*" : gwctl_arg(g, "--if-match") };
	struct client_reply r;
	enum err e;

	if (args_has(&g->args, "--dry-run"))
		return print_plan(g, path, body);
	if ((c->flags & CMD_DESTROYS) != 0) {
		e = confirm(g, f);
		if (e != OK)
			return e;
	}
	e = rest_call(g, &q, &r, f);
	if (e == OK && json_is_object(r.body))
		e = print_answer(g, r.body);
	else if (e == OK && g->print.format == FORMAT_TABLE)
		fputs("done\n", stderr);
	client_reply_release(&r);
	return e;
}

enum err rest_run(struct gwctl *g, struct fail *f)
{
	const struct command *c = g->args.cmd;
	char path[REST_PATH_MAX];
	json_t *body = NULL;
	enum err e = gwctl_client(g, f);

	if (e == OK)
		e = make_path(g, path, sizeof path, f);
	if (e == OK)
		e = add_query(g, path, sizeof path, f);
	if (e != OK)
		return e;
	if ((c->flags & CMD_LIST) != 0)
		return run_list(g, path, f);
	if (strcmp(c->method, "GET") == 0)
		return run_get(g, path, f);
	e = make_body(g, &body, f);
	if (e == OK)
		e = rest_change(g, path, body, f);
	json_decref(body);
	return e;
}
