#include "api/body.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/secret.h"
#include "request/request.h"

/* Offset of the first bracket that nests deeper than BODY_DEPTH, or -1. */
static ptrdiff_t too_deep(struct str s)
{
	unsigned depth = 0;
	bool quoted = false;

	for (size_t i = 0; i < s.n; i++) {
		char c = s.p[i];

		if (quoted && c == '\\')
			i++;
		else if (c == '"')
			quoted = !quoted;
		else if (!quoted && (c == '[' || c == '{') && ++depth > BODY_DEPTH)
			return (ptrdiff_t)i;
		else if (!quoted && (c == ']' || c == '}') && depth > 0)
			depth--;
	}
	return -1;
}

/* What is wrong, without the text that it is near: that may be a password. */
static int length_of_fault(const char *text)
{
	const char *near = strstr(text, " near ");

	return near != NULL ? (int)(near - text) : (int)strlen(text);
}

static enum err parse(struct str text, json_t **root, struct fail *f)
{
	json_error_t je;
	ptrdiff_t deep = too_deep(text);

	if (deep >= 0)
		return fail_set(f, E_BAD_JSON, "byte %td: nested deeper than %d", deep, BODY_DEPTH);
	*root = text.n == 0 ? json_object() : json_loadb(text.p, text.n, JSON_REJECT_DUPLICATES, &je);
	if (*root != NULL)
		return OK;
	if (text.n == 0 || json_error_code(&je) == json_error_out_of_memory)
		return fail_code(f, E_NOMEM);
	return fail_set(f, E_BAD_JSON, "line %d column %d: %.*s", je.line, je.column,
	    length_of_fault(je.text), je.text);
}

enum err body_invalid(struct fail *f, const char *field, const char *why)
{
	fail_set(f, E_INVALID_FIELD, "%s %s", field, why);
	if (f != NULL)
		fail_details_take(f, json_pack("{s:s}", "field", field));
	return E_INVALID_FIELD;
}

static enum err unknown(struct fail *f, const char *field)
{
	fail_set(f, E_UNKNOWN_FIELD, "unknown field %.200s", field);
	if (f != NULL)
		fail_details_take(f, json_pack("{s:s}", "field", field));
	return E_UNKNOWN_FIELD;
}

static bool is_word(const char *const *words, struct str s)
{
	for (; *words != NULL; words++)
		if (str_eqc(s, *words))
			return true;
	return false;
}

/* Each of these returns NULL, or what is wrong with the value. */
static const char *read_str(const struct body_field *d, const json_t *v, struct body_str *out,
    char why[96])
{
	if (!json_is_string(v))
		return "must be a string";
	out->v = str_n(json_string_value(v), json_string_length(v));
	if ((int64_t)out->v.n < d->min || (d->max > 0 && (int64_t)out->v.n > d->max)) {
		snprintf(why, 96, "must have %" PRId64 " to %" PRId64 " bytes", d->min, d->max);
		return why;
	}
	if (d->words != NULL && !is_word(d->words, out->v))
		return d->rule != NULL ? d->rule : "has a value that is not allowed";
	if (d->check != NULL && !d->check(out->v))
		return d->rule != NULL ? d->rule : "has a value that is not allowed";
	return NULL;
}

static const char *read_int(const struct body_field *d, const json_t *v, struct body_int *out,
    char why[96])
{
	if (!json_is_integer(v))
		return "must be an integer";
	out->v = json_integer_value(v);
	if (out->v < d->min || (d->max > 0 && out->v > d->max)) {
		if (d->max > 0)
			snprintf(why, 96, "must be %" PRId64 " to %" PRId64, d->min, d->max);
		else
			snprintf(why, 96, "must be %" PRId64 " or more", d->min);
		return why;
	}
	return NULL;
}

static const char *read_json(const struct body_field *d, json_t *v, struct body_json *out,
    char why[96])
{
	int64_t n;

	if (d->type == BODY_T_OBJECT ? !json_is_object(v) : !json_is_array(v))
		return d->type == BODY_T_OBJECT ? "must be an object" : "must be an array";
	out->v = v;
	n = (int64_t)json_array_size(v);
	if (d->type == BODY_T_ARRAY && (n < d->min || (d->max > 0 && n > d->max))) {
		snprintf(why, 96, "must have %" PRId64 " to %" PRId64 " elements", d->min, d->max);
		return why;
	}
	return NULL;
}

static const char *read_value(const struct body_field *d, json_t *v, void *at, char why[96])
{
	struct str s = json_is_string(v) ? str_n(json_string_value(v), json_string_length(v)) : STR_NONE;

	switch (d->type) {
	case BODY_T_STR:
		return read_str(d, v, at, why);
	case BODY_T_BOOL:
		((struct body_bool *)at)->v = json_is_true(v);
		return json_is_boolean(v) ? NULL : "must be true or false";
	case BODY_T_INT:
		return read_int(d, v, at, why);
	case BODY_T_ID:
		return id_parse(s, &((struct body_id *)at)->v) ? NULL : "must be a UUID";
	case BODY_T_TIME:
		return clock_parse_rfc3339(s, &((struct body_int *)at)->v) ? NULL :
		    "must be a time as in RFC 3339";
	case BODY_T_ARRAY:
	case BODY_T_OBJECT:
		return read_json(d, v, at, why);
	}
	return "is of no known type";
}

static enum err read_field(const struct body_field *d, json_t *v, const char *path, char *base,
    struct fail *f)
{
	char name[160], why[96];
	const char *fault = NULL;
	bool *set = (bool *)(base + d->offset); /* `set` is the first member of every body_ struct */

	if (v == NULL)
		fault = d->flags & BODY_REQUIRED ? "is required" : NULL;
	else if (json_is_null(v) && d->flags & BODY_NULLABLE)
		*set = true;
	else
		fault = read_value(d, v, base + d->offset, why), *set = true;
	if (fault == NULL)
		return OK;
	snprintf(name, sizeof name, "%s%s%s", path, *path != '\0' ? "." : "", d->name);
	return body_invalid(f, name, fault);
}

static const struct body_field *find(const struct body_field *fields, const char *name)
{
	for (; fields->name != NULL; fields++)
		if (strcmp(fields->name, name) == 0)
			return fields;
	return NULL;
}

enum err body_object(json_t *object, const struct body_field *fields, const char *path, void *out,
    size_t size, struct fail *f)
{
	const char *name;
	json_t *v;
	enum err e = OK;

	memset(out, 0, size);
	if (!json_is_object(object))
		return *path != '\0' ? body_invalid(f, path, "must be an object") :
		    fail_set(f, E_BAD_JSON, "the body must be an object");
	json_object_foreach(object, name, v)
		if (find(fields, name) == NULL)
			return unknown(f, name);
	for (; fields->name != NULL && e == OK; fields++)
		e = read_field(fields, json_object_get(object, fields->name), path, out, f);
	return e;
}

/* ---- the life of a decoded body ------------------------------------------------------------- */

struct held {
	json_t *root;
	const struct body_field *fields;
};

static void release(void *arg)
{
	struct held *h = arg;

	for (const struct body_field *d = h->fields; d->name != NULL; d++) {
		json_t *v = d->flags & BODY_SECRET ? json_object_get(h->root, d->name) : NULL;

		if (json_is_string(v))
			secret_wipe((char *)(uintptr_t)json_string_value(v), json_string_length(v));
	}
	json_decref(h->root);
}

static bool has_secret(const struct body_field *fields)
{
	for (; fields->name != NULL; fields++)
		if (fields->flags & BODY_SECRET)
			return true;
	return false;
}

enum err body_read(struct request *r, const struct body_field *fields, void *out, size_t size,
    struct fail *f)
{
	struct held *h = arena_alloc(&r->arena, sizeof *h);
	json_t *root = NULL;
	enum err e;

	memset(out, 0, size);
	if (h == NULL)
		return fail_code(f, E_NOMEM);
	e = parse(buf_str(&r->body), &root, f);
	if (has_secret(fields) && r->body.n > 0)
		secret_wipe(r->body.p, r->body.n);
	if (e != OK)
		return e;
	*h = (struct held){ .root = root, .fields = fields };
	e = request_on_finish(r, release, h);
	if (e != OK)
		return fail_code(f, e);
	return body_object(root, fields, "", out, size, f);
}

enum err body_none(struct request *r, struct fail *f)
{
	static const struct body_field none[] = { { NULL } };
	char nothing[1];

	return body_read(r, none, nothing, sizeof nothing, f);
}
