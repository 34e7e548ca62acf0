#include "api/page.h"

#include "base/hex.h"
#include "request/request.h"

#define KEY_MAX 256

enum err page_read(struct request *r, bool ids, struct page *out, struct fail *f)
{
	struct str size = request_query(r, "page_size"), token = request_query(r, "page_token");
	char *key = arena_alloc(&r->arena, KEY_MAX);
	uint64_t v = PAGE_SIZE;

	*out = (struct page){ .after = STR_NONE };
	if (key == NULL)
		return fail_code(f, E_NOMEM);
	if (size.p != NULL && (!str_u64(size, PAGE_SIZE_MAX, &v) || v == 0))
		return fail_set(f, E_INVALID_PARAMETER, "page_size must be 1 to %d", PAGE_SIZE_MAX);
	out->size = v;
	if (token.p == NULL)
		return OK;
	out->after.p = key;
	if (token.n == 0 || !b64u_decode(token, key, KEY_MAX, &out->after.n) ||
	    (ids && out->after.n != sizeof out->id) || (!ids && !str_utf8(out->after)))
		return fail_set(f, E_INVALID_PARAMETER, "page_token is not one of this list");
	if (ids) {
		memcpy(out->id.b, key, sizeof out->id.b);
		out->has_id = true;
	}
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

void page_end(struct jsonw *w, const struct page *p, size_t n, struct str last)
{
	char token[B64U_LEN(KEY_MAX)];

	jsonw_arr_end(w);
	jsonw_key(w, "next_page_token");
	if (n > p->size && last.n <= KEY_MAX)
		jsonw_str(w, str_n(token, b64u_encode(last.p, last.n, token)));
	else
		jsonw_null(w);
	jsonw_obj_end(w);
}
