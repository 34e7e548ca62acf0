#include "api/form.h"

#include "request/request.h"

enum err form_value(struct request *r, struct str text, const char *name, struct str *out)
{
	bool seen = false;

	*out = STR_NONE;
	while (text.p != NULL && text.n > 0) {
		struct str value, key = str_cut(str_cut(text, '&', &text), '=', &value);

		if (!str_eqc(key, name))
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
