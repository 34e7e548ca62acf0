#include "api/form.h"

#include "request/request.h"

enum err form_field(struct request *r, const char *name, struct str *out)
{
	struct str rest = buf_str(&r->body);
	bool seen = false;

	*out = STR_NONE;
	while (rest.p != NULL && r->body.n > 0) {
		struct str value, key = str_cut(str_cut(rest, '&', &rest), '=', &value);

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
