#include "api/cookie.h"

#include "request/request.h"

#define PREFIX "__Host-"

/* Counts into *n; the value of the first is kept. */
static void look_in(struct str field, struct str name, struct str *value, unsigned *n)
{
	while (field.p != NULL) {
		struct str v, key = str_cut(str_trim(str_cut(field, ';', &field)), '=', &v);

		if (v.p != NULL && str_starts(key, STR(PREFIX)) &&
		    str_eq(str_skip(key, strlen(PREFIX)), name) && (*n)++ == 0)
			*value = v;
	}
}

struct str cookie_find(const struct request *r, struct str name)
{
	struct str value = STR_NONE;
	unsigned n = 0;

	for (size_t i = 0; i < r->nheaders; i++)
		if (str_eq(r->headers[i].name, header_name(HDR_COOKIE)))
			look_in(r->headers[i].value, name, &value, &n);
	return n == 1 ? value : STR_NONE;
}

enum err cookie_set(struct request *r, struct str name, struct str value, int seconds)
{
	char *field = arena_printf(&r->arena,
	    PREFIX "%.*s=%.*s; Path=/; Max-Age=%d; Secure; HttpOnly; SameSite=Lax", STR_ARG(name),
	    STR_ARG(value), seconds);

	return field != NULL ? reply_header(r, STR("set-cookie"), str_c(field)) : E_NOMEM;
}
