#include "crypto/recovery_code.h"

#include <stdint.h>
#include <string.h>

#include "base/secret.h"
#include "crypto/seal.h"

enum { CHARS = 10 };

static const char alphabet[] = "0123456789abcdefghjkmnpqrstvwxyz";

void recovery_code_make(const unsigned char random[RECOVERY_CODE_RANDOM],
    char out[RECOVERY_CODE_LEN])
{
	uint64_t v = 0;

	for (int i = 0; i < RECOVERY_CODE_RANDOM; i++)
		v = v << 8 | random[i];
	for (int i = 0; i < CHARS; i++, v >>= 5) {
		if (i == CHARS / 2)
			*out++ = '-';
		*out++ = alphabet[v & 31];
	}
	*out = '\0';
}

/* What a typed character stands for in the alphabet, or NUL. */
static char meant(char c)
{
	if (c >= 'A' && c <= 'Z')
		c = (char)(c | 0x20);
	if (c == 'o')
		return '0';
	if (c == 'i' || c == 'l')
		return '1';
	return c != '\0' && strchr(alphabet, c) != NULL ? c : '\0';
}

enum err recovery_code_hash(const struct seal *s, struct id user, struct str typed,
    unsigned char hash[RECOVERY_CODE_HASH])
{
	char data[16 + CHARS];
	size_t n = sizeof user.b;

	if (typed.n > 64)
		return E_MFA_INVALID;
	memcpy(data, user.b, sizeof user.b);
	for (size_t i = 0; i < typed.n; i++) {
		char c = typed.p[i];

		if (c == '-' || c == ' ')
			continue;
		c = meant(c);
		if (c == '\0' || n == sizeof data)
			return E_MFA_INVALID;
		data[n++] = c;
	}
	if (n != sizeof data)
		return E_MFA_INVALID;
	seal_mac(s, "recovery_code", str_n(data, sizeof data), hash);
	secret_wipe(data, sizeof data);
	return OK;
}
