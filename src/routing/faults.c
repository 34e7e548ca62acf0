#include "routing/faults.h"

#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/buf.h"

#define PLACE_MAX 2048

/* One reference token, "~" and "/" escaped (RFC 6901, 3). */
static void add_token(struct buf *b, const char *token)
{
	buf_addc(b, '/');
	for (; *token != '\0'; token++) {
		if (*token == '~')
			buf_addz(b, "~0");
		else if (*token == '/')
			buf_addz(b, "~1");
		else
			buf_addc(b, *token);
	}
}

static void write_place(struct buf *b, struct fault_at at)
{
	if (at.section != NULL)
		add_token(b, at.section);
	if (at.name != NULL)
		add_token(b, at.name);
	if (at.index >= 0)
		buf_printf(b, "/%d", at.index);
	if (at.member != NULL)
		add_token(b, at.member);
}

static void list(struct faults *fs, const char *place, const char *text)
{
	json_t *o = json_pack("{s:s, s:s}", "path", place, "error", text);

	if (fs->list == NULL)
		fs->list = json_array();
	if (o == NULL || json_array_append_new(fs->list, o) != 0)
		fs->nomem = true;
}

/* Takes off a sequence that the end of the buffer has cut in two. */
static void trim_utf8(char *z)
{
	size_t n = strlen(z);

	while (n > 0 && !str_utf8(str_n(z, n)))
		n--;
	z[n] = '\0';
}

void faults_add(struct faults *fs, struct fault_at at, const char *fmt, ...)
{
	char text[256];
	struct buf place;
	const char *z;
	va_list ap;

	fs->n++;
	if (fs->n > FAULTS_MAX)
		return;
	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	trim_utf8(text);
	buf_init(&place, PLACE_MAX);
	write_place(&place, at);
	z = buf_cstr(&place);
	if (z == NULL || place.failed)
		z = at.section != NULL ? at.section : "";
	if (fs->n == 1)
		snprintf(fs->first, sizeof fs->first, "%.100s%s%.150s", z, *z != '\0' ? ": " : "", text);
	list(fs, z, text);
	buf_release(&place);
}

enum err faults_end(struct faults *fs, struct fail *f)
{
	json_t *details;
	enum err e;

	if (fs->n == 0)
		return OK;
	if (fs->n == 1)
		e = fail_set(f, E_ROUTING_INVALID, "the routing document has a fault: %s", fs->first);
	else
		e = fail_set(f, E_ROUTING_INVALID, "the routing document has %zu faults, the first: %s",
		    fs->n, fs->first);
	details = json_object();
	if (fs->n > FAULTS_MAX)
		json_object_set_new(details, "more", json_integer((json_int_t)(fs->n - FAULTS_MAX)));
	if (details == NULL || json_object_set_new(details, "faults", fs->list) != 0)
		fs->nomem = true;
	fs->list = NULL;
	fail_details_take(f, details);
	return fs->nomem ? fail_set(f, E_NOMEM, "out of memory while the faults were listed") : e;
}
