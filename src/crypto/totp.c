#include "crypto/totp.h"

#include <liboath/oath.h>
#include <pthread.h>

#include "base/clock.h"
#include "base/secret.h"

static void init(void)
{
	(void)oath_init();
}

enum err totp_code(const unsigned char secret[TOTP_SECRET], int64_t step,
    char code[TOTP_DIGITS + 1])
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	(void)pthread_once(&once, init);
	return oath_hotp_generate((const char *)secret, TOTP_SECRET, (uint64_t)step, TOTP_DIGITS, false,
	           OATH_HOTP_DYNAMIC_TRUNCATION, code) == OATH_OK ? OK : E_INTERNAL;
}

enum err totp_check(const unsigned char secret[TOTP_SECRET], struct str code, int64_t now,
    int64_t last, int64_t *step)
{
	int64_t current = now / CLOCK_SEC / TOTP_PERIOD, found = -1;
	char want[TOTP_DIGITS + 1];

	if (now < 0)
		return E_MFA_INVALID;
	for (int64_t s = current - 1; s <= current + 1; s++) {
		enum err e = totp_code(secret, s, want);
		bool hit = e == OK && secret_eq(code, str_n(want, TOTP_DIGITS));

		if (hit && s > last)
			found = s;
	}
	secret_wipe(want, sizeof want);
	if (found < 0)
		return E_MFA_INVALID;
	*step = found;
	return OK;
}

void totp_secret_text(const unsigned char secret[TOTP_SECRET], char out[TOTP_SECRET_TEXT])
{
	static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"; /* RFC 4648, 6 */
	uint32_t acc = 0;
	int bits = 0;

	for (int i = 0; i < TOTP_SECRET; i++) {
		acc = acc << 8 | secret[i];
		for (bits += 8; bits >= 5; bits -= 5)
			*out++ = alphabet[acc >> (bits - 5) & 31];
	}
	*out = '\0'; /* 160 bits are 32 characters: nothing is left over */
}

/* Percent-encoded but for RFC 3986's unreserved. A colon separates issuer and account and stands in
 * neither, encoded or not: it becomes a hyphen. */
static void add_encoded(struct buf *b, struct str s)
{
	static const char hex[] = "0123456789ABCDEF";

	for (size_t i = 0; i < s.n; i++) {
		unsigned char c = (unsigned char)(s.p[i] == ':' ? '-' : s.p[i]);

		if ((c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
		    c == '-' || c == '.' || c == '_' || c == '~')
			(void)buf_addc(b, (char)c);
		else
			(void)buf_add(b, (char[]){ '%', hex[c >> 4], hex[c & 15] }, 3);
	}
}

enum err totp_uri(const unsigned char secret[TOTP_SECRET], struct str issuer, struct str account,
    struct buf *out)
{
	char text[TOTP_SECRET_TEXT];

	totp_secret_text(secret, text);
	(void)buf_addz(out, "otpauth://totp/");
	add_encoded(out, issuer);
	(void)buf_addc(out, ':');
	add_encoded(out, account);
	(void)buf_printf(out, "?secret=%s&issuer=", text);
	add_encoded(out, issuer);
	(void)buf_printf(out, "&algorithm=SHA1&digits=%d&period=%d", TOTP_DIGITS, TOTP_PERIOD);
	secret_wipe(text, sizeof text);
	return buf_err(out);
}
