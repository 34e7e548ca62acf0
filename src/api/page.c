#include "api/page.h"

#include "base/hex.h"
#include "request/request.h"

#define KEY_MAX 256

/* The key that a token is made of. */
static bool take_key(enum page_key by, struct str key, struct page *out)
{
	uint64_t n;

	switch (by) {
	case PAGE_BY_ID:
		if (key.n != sizeof out->id.b)
			return false;
		memcpy(out->id.b, key.p, key.n);
		out->has_id = true;
		return true;
	case PAGE_BY_NUMBER:
		if (!str_u64(key, INT64_MAX, &n))
			return false;
		out->before = (int64_t)n;
		return true;
	case PAGE_BY_TEXT:
	default:
		out->after = key;
		return str_utf8(key);
	}
}

enum err page_read(struct request *r, enum page_key by, struct page *out, struct fail *f)
{
	struct str size = request_query(r, "page_size"), token = request_query(r, "page_token");
	char *key = arena_alloc(&r->arena, KEY_MAX);
	uint64_t v = PAGE_SIZE;
	size_t n;

	*out = (struct page){ .after = STR_NONE };
	if (key == NULL)
		return fail_code(f, E_NOMEM);
	if (size.p != NULL && (!str_u64(size, PAGE_SIZE_MAX, &v) || v == 0))
		return fail_set(f, E_INVALID_PARAMETER, "page_size must be 1 to %d", PAGE_SIZE_MAX);
	out->size = v;
	if (token.p == NULL)
		return OK;
	if (token.n == 0 || !b64u_decode(token, key, KEY_MAX, &n) || !take_key(by, str_n(key, n), out))
		return fail_set(f, E_INVALID_PARAMETER, "page_token is not one of this list");
	return OK;
}

struct jsonw page_begin(struct request *r)
{
	struct jsonw w = request_json(r, 200);

	jsonw_obj(&w);
	jsonw_key(&w, "items");
	jsonw_arr(&w);
	return w;
}

static void end(struct jsonw *w, struct str next)
{
	jsonw_arr_end(w);
	jsonw_kstr(w, "next_page_token", next);
	jsonw_obj_end(w);
}

void page_end(struct jsonw *w, const struct page *p, size_t n, struct str last)
{
	char token[B64U_LEN(KEY_MAX)];
	struct str next = STR_NONE;

	if (n > p->size && last.n <= KEY_MAX)
		next = str_n(token, b64u_encode(last.p, last.n, token));
	end(w, next);
}

void page_end_only(struct jsonw *w)
{
	end(w, STR_NONE);
}
