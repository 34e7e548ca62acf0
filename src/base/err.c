#include "base/err.h"

#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const struct err_info table[ERR__COUNT] = {
	[OK] = { "ok", 200, 0, 0, "ok" },
#define E(name, code, http, grpc, exit, text) [E_##name] = { code, http, grpc, exit, text },
#include "base/err.def"
#undef E
};

const struct err_info *err_info(enum err e)
{
	return &table[e >= 0 && e < ERR__COUNT ? e : E_INTERNAL];
}

const char *err_code(enum err e)
{
	return err_info(e)->code;
}

enum err err_by_code(const char *code)
{
	for (int i = 0; i < ERR__COUNT; i++)
		if (strcmp(table[i].code, code) == 0)
			return (enum err)i;
	return E_INTERNAL;
}

enum err fail_set(struct fail *f, enum err e, const char *fmt, ...)
{
	va_list ap;

	if (f == NULL)
		return e;
	fail_clear(f);
	f->err = e;
	va_start(ap, fmt);
	vsnprintf(f->text, sizeof f->text, fmt, ap);
	va_end(ap);
	return e;
}

enum err fail_code(struct fail *f, enum err e)
{
	return fail_set(f, e, "%s", "");
}

enum err fail_wrap(struct fail *f, const char *fmt, ...)
{
	char old[sizeof f->text];
	va_list ap;
	int n;

	if (f == NULL)
		return E_INTERNAL;
	memcpy(old, fail_text(f), strlen(fail_text(f)) + 1);
	va_start(ap, fmt);
	n = vsnprintf(f->text, sizeof f->text, fmt, ap);
	va_end(ap);
	if (n >= 0 && (size_t)n + 2 < sizeof f->text)
		snprintf(f->text + n, sizeof f->text - (size_t)n, ": %.*s",
		    (int)(sizeof f->text - (size_t)n - 3), old);
	return f->err;
}

void fail_details_take(struct fail *f, struct json_t *details)
{
	if (f == NULL) {
		json_decref(details);
		return;
	}
	json_decref(f->details);
	f->details = details;
}

const char *fail_text(const struct fail *f)
{
	return f->text[0] != '\0' ? f->text : err_info(f->err)->text;
}

bool fail_fault(const struct fail *f, size_t i, char text[FAIL_FAULT_LEN])
{
	const json_t *faults = json_object_get(f->details, "faults"), *one = json_array_get(faults, i);
	const char *place = json_string_value(json_object_get(one, "path"));
	const char *what = json_string_value(json_is_string(one) ? one : json_object_get(one, "error"));

	if (json_array_size(faults) < 2 || what == NULL)
		return false;
	snprintf(text, FAIL_FAULT_LEN, "%s%s%s", place != NULL ? place : "",
	    place != NULL && *place != '\0' ? ": " : "", what);
	return true;
}

void fail_clear(struct fail *f)
{
	if (f == NULL)
		return;
	json_decref(f->details);
	f->details = NULL;
	f->err = OK;
	f->text[0] = '\0';
	f->retry_after = 0;
}
