/* Which new passwords are refused, beyond their length (password_normalise): those that leaks contain
 * most often, those that contain the e-mail address, and those that are quickly guessed (zxcvbn, by
 * libzxcvbn). No rules of composition (NIST SP 800-63B-4, 3.1.1.2). Any thread; takes well below a
 * millisecond for what people choose and a few for the worst. */
#ifndef CRYPTO_PASSWORD_POLICY_H
#define CRYPTO_PASSWORD_POLICY_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "base/str.h"

/* Bits of zxcvbn's estimate that a password must have: a million guesses, more than the limits of
 * sign-in let anyone make. */
#define PASSWORD_MIN_BITS 20.0

/* password: as password_normalise returns it. email may be empty; `name` (may be empty) is what else
 * an attacker would try first: the display name. E_WEAK_PASSWORD with the reason in words and as
 * details.reason: "contains_email", "common" or "guessable"; E_NOMEM. */
enum err password_policy_check(struct str password, struct str email, struct str name,
    struct fail *f);

/* Whether the list of common passwords has it; lower case. */
bool password_is_common(struct str password);

/* Generated at build time: "\n" and then each password with "\n" behind it, sorted by byte. */
extern const char password_common[];
extern const size_t password_common_len;

#endif
