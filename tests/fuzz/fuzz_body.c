/* Request bodies: the first byte chooses the operation, the rest is what was sent. Whatever is taken is
 * within its bounds; whatever is refused says why; the text of secrets is gone from the buffer. */
#include <stdint.h>
#include <stdlib.h>

#include "api/bodies.h"
#include "api/schema.h"
#include "request/request.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void end(struct request *r)
{
	while (r->cleanups != NULL) {
		struct request_cleanup *c = r->cleanups;

		r->cleanups = c->next;
		c->cb(c->arg);
	}
	request_release(r);
}

/* The n-th of all tables that bodies are read with. */
static const struct body_field *table(unsigned n)
{
	const struct body_field *found = NULL;

	for (size_t i = 0; i < schemas_count; i++)
		if (schemas_all[i].body != NULL && (found == NULL || n-- > 0))
			found = schemas_all[i].body;
	return found;
}

static void check_field(const struct body_field *d, const char *base)
{
	const struct body_str *s = (const void *)(base + d->offset);

	if (d->type != BODY_T_STR)
		return;
	if (d->flags & BODY_REQUIRED && s->v.p == NULL)
		abort();
	if (s->v.p != NULL && ((int64_t)s->v.n < d->min || (d->max > 0 && (int64_t)s->v.n > d->max)))
		abort();
	if (s->v.p != NULL && (!str_utf8(s->v) || (d->check != NULL && !d->check(s->v))))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	const struct body_field *fields;
	static struct request r;
	struct fail f = { 0 };
	char out[1024];
	enum err e;

	if (n == 0)
		return 0;
	fields = table(data[0]);
	request_init(&r);
	if (buf_add(&r.body, data + 1, n - 1) != OK)
		abort();
	e = body_read(&r, fields, out, sizeof out, &f);
	if (e == OK)
		for (const struct body_field *d = fields; d->name != NULL; d++)
			check_field(d, out);
	else if (e != E_BAD_JSON && e != E_UNKNOWN_FIELD && e != E_INVALID_FIELD)
		abort();
	if (e != OK && f.text[0] == '\0')
		abort();
	fail_clear(&f);
	end(&r);
	return 0;
}
