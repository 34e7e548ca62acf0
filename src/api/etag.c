#include "api/etag.h"

#include <inttypes.h>
#include <stdio.h>

#include "request/request.h"

#define TEXT_LEN 24
#define TRIES 8

static struct str text_of(int64_t version, char out[TEXT_LEN])
{
	int n = snprintf(out, TEXT_LEN, "v%" PRId64, version);

	return str_n(out, (size_t)n);
}

void etag_write(struct jsonw *w, int64_t version)
{
	char text[TEXT_LEN];

	jsonw_kstr(w, "etag", text_of(version, text));
}

enum err etag_header(struct request *r, int64_t version)
{
	char text[TEXT_LEN], *quoted;

	quoted = arena_printf(&r->arena, "\"%.*s\"", STR_ARG(text_of(version, text)));
	return reply_header(r, STR("etag"), quoted != NULL ? str_c(quoted) : STR_NONE);
}

static struct str unquote(struct str s)
{
	return s.n >= 2 && s.p[0] == '"' && s.p[s.n - 1] == '"' ? str_n(s.p + 1, s.n - 2) : s;
}

enum err etag_check(struct request *r, int64_t version, struct fail *f)
{
	struct str rest = request_known(r, HDR_IF_MATCH);
	char text[TEXT_LEN];

	if (rest.p == NULL)
		return OK;
	while (rest.p != NULL) {
		struct str one = unquote(str_trim(str_cut(rest, ',', &rest)));

		if (str_eq(one, STR("*")) || str_eq(one, text_of(version, text)))
			return OK;
	}
	return fail_code(f, E_PRECONDITION_FAILED);
}

bool etag_again(const struct request *r, enum err e, unsigned *tries, struct fail *f)
{
	struct str want = request_known(r, HDR_IF_MATCH);

	if (e != E_PRECONDITION_FAILED || (want.p != NULL && !str_eq(str_trim(want), STR("*"))) ||
	    ++*tries == TRIES)
		return false;
	fail_clear(f);
	return true;
}
