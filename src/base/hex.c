#include "base/hex.h"

#include <stdint.h>

static const char hexdigits[] = "0123456789abcdef";
static const char url[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
static const char std[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void hex_encode(const void *p, size_t n, char *out)
{
	const uint8_t *b = p;

	for (size_t i = 0; i < n; i++) {
		out[2 * i] = hexdigits[b[i] >> 4];
		out[2 * i + 1] = hexdigits[b[i] & 15];
	}
}

static int nibble(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = (char)(c | 0x20);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool hex_decode(struct str s, void *out)
{
	uint8_t *o = out;

	if (s.n % 2 != 0)
		return false;
	for (size_t i = 0; i < s.n; i += 2) {
		int hi = nibble(s.p[i]), lo = nibble(s.p[i + 1]);

		if (hi < 0 || lo < 0)
			return false;
		o[i / 2] = (uint8_t)(hi << 4 | lo);
	}
	return true;
}

/* The value of c in the alphabet whose last two characters are c62 and c63, or -1. */
static int sextet(char c, char c62, char c63)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	return c == c62 ? 62 : c == c63 ? 63 : -1;
}

static size_t encode(const uint8_t *b, size_t n, const char *alphabet, char *out)
{
	char *o = out;
	uint32_t acc = 0;
	int bits = 0;

	for (size_t i = 0; i < n; i++) {
		acc = acc << 8 | b[i];
		for (bits += 8; bits >= 6; bits -= 6)
			*o++ = alphabet[acc >> (bits - 6) & 63];
	}
	if (bits > 0)
		*o++ = alphabet[acc << (6 - bits) & 63];
	return (size_t)(o - out);
}

static bool decode(struct str s, const char *last2, uint8_t *out, size_t cap, size_t *n)
{
	uint32_t acc = 0;
	int bits = 0;
	size_t k = 0;

	if (s.n % 4 == 1)
		return false;
	for (size_t i = 0; i < s.n; i++) {
		int v = sextet(s.p[i], last2[0], last2[1]);

		if (v < 0)
			return false;
		acc = acc << 6 | (uint32_t)v;
		bits += 6;
		if (bits < 8)
			continue;
		if (k == cap)
			return false;
		bits -= 8;
		out[k++] = (uint8_t)(acc >> bits);
	}
	*n = k;
	return (acc & ((1u << bits) - 1)) == 0;
}

size_t b64u_encode(const void *p, size_t n, char *out)
{
	return encode(p, n, url, out);
}

bool b64u_decode(struct str s, void *out, size_t cap, size_t *n)
{
	return decode(s, "-_", out, cap, n);
}

size_t b64_encode(const void *p, size_t n, char *out)
{
	size_t k = encode(p, n, std, out);

	while (k % 4 != 0)
		out[k++] = '=';
	return k;
}

bool b64_decode(struct str s, void *out, size_t cap, size_t *n)
{
	if (s.n % 4 != 0)
		return false;
	for (int i = 0; i < 2 && s.n > 0 && s.p[s.n - 1] == '='; i++)
		s.n--;
	return decode(s, "+/", out, cap, n);
}
