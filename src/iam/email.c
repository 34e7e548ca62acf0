#include "iam/email.h"

#include <stdlib.h>
#include <unicase.h>
#include <unictype.h>
#include <uninorm.h>
#include <unistr.h>

/* Nothing that is not seen, or turns what is beside it around: two addresses that look the same are two
 * that somebody takes for one another. Valid UTF-8. */
static bool is_visible(struct str s)
{
	const uint8_t *p = (const uint8_t *)s.p;
	ucs4_t c;

	for (size_t i = 0; i < s.n; i += (size_t)u8_mbtouc(&c, p + i, s.n - i)) {
		(void)u8_mbtouc(&c, p + i, s.n - i);
		if (uc_is_general_category_withtable(c, UC_CATEGORY_MASK_Cc | UC_CATEGORY_MASK_Cf |
		        UC_CATEGORY_MASK_Z) ||
		    uc_is_property_default_ignorable_code_point(c))
			return false;
	}
	return true;
}

/* Labels with dots between them, none of them empty; no address in brackets. What mail is sent to must be a
 * dot-atom (RFC 5322, 3.4.1): no letter would ever confirm another. */
static bool is_domain(struct str s)
{
	while (s.p != NULL) {
		struct str label = str_cut(s, '.', &s);

		if (label.n == 0)
			return false;
		for (size_t i = 0; i < label.n; i++)
			if (memchr("()[]:\\@", label.p[i], 7) != NULL)
				return false;
	}
	return true;
}

bool email_is_valid(struct str email)
{
	struct str domain, local = str_cut(email, '@', &domain);

	if (email.n > EMAIL_MAX || !str_utf8(email))
		return false;
	if (local.n == 0 || local.n > 64 || domain.p == NULL || !is_domain(domain))
		return false;
	for (size_t i = 0; i < email.n; i++) {
		unsigned char c = (unsigned char)email.p[i];

		if (c <= ' ' || c == 0x7f || c == '<' || c == '>' || c == ',' || c == ';' || c == '"')
			return false;
	}
	return is_visible(email);
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
