/* Time-based one-time passwords (RFC 6238: SHA-1, 6 digits, 30 s), by liboath. Whether a step was
 * used before is the store's to decide, atomically: this returns the step that matched, the caller
 * writes it with the guard "last step < this one". Any thread. */
#ifndef CRYPTO_TOTP_H
#define CRYPTO_TOTP_H

#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"

#define TOTP_SECRET 20      /* bytes: the size of the hash (RFC 4226, 4, R6) */
#define TOTP_SECRET_TEXT 33 /* base32 without padding, with the NUL */
#define TOTP_DIGITS 6
#define TOTP_PERIOD 30

/* The code of one step (seconds since the epoch / 30), with its NUL. E_INTERNAL. */
enum err totp_code(const unsigned char secret[TOTP_SECRET], int64_t step,
    char code[TOTP_DIGITS + 1]);
/* OK when `code` is that of the step of `now` (microseconds), the one before or the one after it,
 * and later than `last` (the last step accepted; -1: none); *step is then the one that matched.
 * Otherwise E_MFA_INVALID. Takes the same time whichever step matches. */
enum err totp_check(const unsigned char secret[TOTP_SECRET], struct str code, int64_t now,
    int64_t last, int64_t *step);

/* The secret for a person to type: base32, upper case. */
void totp_secret_text(const unsigned char secret[TOTP_SECRET], char out[TOTP_SECRET_TEXT]);
/* Appends otpauth://totp/ISSUER:ACCOUNT?secret=...&issuer=..., for a QR code. */
enum err totp_uri(const unsigned char secret[TOTP_SECRET], struct str issuer, struct str account,
    struct buf *out);

#endif
