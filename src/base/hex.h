/* Hexadecimal and base64url (RFC 4648, 5; no padding, canonical only). Any thread. */
#ifndef BASE_HEX_H
#define BASE_HEX_H

#include <stdbool.h>
#include <stddef.h>

#include "base/str.h"

/* Writes 2n lower-case digits, no NUL. */
void hex_encode(const void *p, size_t n, char *out);
/* Decodes s.n / 2 bytes; false on an odd length or another character. */
bool hex_decode(struct str s, void *out);

#define B64U_LEN(n) (((n) * 4 + 2) / 3)
/* Writes B64U_LEN(n) characters, no NUL; returns their number. */
size_t b64u_encode(const void *p, size_t n, char *out);
/* Strict: alphabet only, no padding, no blanks, unused bits zero. Returns false otherwise or when
 * the result exceeds cap. out may not overlap s. */
bool b64u_decode(struct str s, void *out, size_t cap, size_t *n);
/* Standard alphabet with padding (RFC 4648, 4), for Basic credentials and the master key. */
bool b64_decode(struct str s, void *out, size_t cap, size_t *n);
#define B64_LEN(n) (((n) + 2) / 3 * 4)
size_t b64_encode(const void *p, size_t n, char *out);

#endif
