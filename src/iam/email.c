#include "iam/email.h"

#include <stdlib.h>
#include <unicase.h>
#include <uninorm.h>

bool email_is_valid(struct str email)
{
	struct str domain, local = str_cut(email, '@', &domain);

	if (email.n > EMAIL_MAX || !str_utf8(email))
		return false;
	if (local.n == 0 || local.n > 64 || domain.n == 0 || memchr(domain.p, '@', domain.n) != NULL)
		return false;
	for (size_t i = 0; i < email.n; i++) {
		unsigned char c = (unsigned char)email.p[i];

		if (c <= ' ' || c == 0x7f || c == '<' || c == '>' || c == ',' || c == ';' || c == '"')
			return false;
	}
	return true;
}

enum err email_fold(struct str email, struct arena *a, struct str *out)
{
	uint8_t *folded;
	size_t n;

	if (!email_is_valid(email))
		return E_INVALID_FIELD;
	folded = u8_casefold((const uint8_t *)email.p, email.n, NULL, UNINORM_NFC, NULL, &n);
	if (folded == NULL)
		return E_NOMEM;
	*out = arena_str(a, str_n((const char *)folded, n));
	free(folded);
	return out->p != NULL ? OK : E_NOMEM;
}

bool email_is_same(struct str a, struct str b)
{
	return str_ieq(a, b);
}
