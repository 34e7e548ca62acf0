#include "api/form.h"

#include "base/hex.h"
#include "request/request.h"

/* Is it the name, however it is written? One that is not percent-encoded is none that is asked for. */
static bool is_named(struct str key, const char *name)
{
	size_t i = 0;

	for (; i < key.n; name++) {
		char c = key.p[i];

		if (c != '%')
			i++;
		else if (key.n - i >= 3 && hex_decode(str_n(key.p + i + 1, 2), &c))
			i += 3;
		else
			return false;
		if (*name == '\0' || c != *name)
			return false;
	}
	return *name == '\0';
}

enum err form_value(struct request *r, struct str text, const char *name, struct str *out)
{
	bool seen = false;

	*out = STR_NONE;
	while (text.p != NULL && text.n > 0) {
		struct str value, key = str_cut(str_cut(text, '&', &text), '=', &value);

		if (!is_named(key, name))
			continue;
		if (seen)
			return E_BAD_REQUEST;
		seen = true;
		if (value.n == 0)
			continue;
		*out = request_decode(r, value);
		if (out->p == NULL)
			return E_BAD_REQUEST;
	}
	return OK;
}

enum err form_field(struct request *r, const char *name, struct str *out)
{
	return form_value(r, buf_str(&r->body), name, out);
}
