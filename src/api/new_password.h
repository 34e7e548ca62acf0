/* Passwords as they arrive: normalised, held to the policy when they are new, hashed. Control lane; the
 * hashing waits for its turn. */
#ifndef API_NEW_PASSWORD_H
#define API_NEW_PASSWORD_H

#include <stdbool.h>

#include "base/err.h"
#include "base/str.h"
#include "crypto/password.h"

struct ctl;

/* E_WEAK_PASSWORD when it is too short or long, not UTF-8, common, or easily guessed by whoever knows
 * e-mail address and name (either may be empty). */
enum err new_password_hash(struct ctl *c, struct str password, struct str email, struct str name,
    char phc[PASSWORD_PHC_LEN], struct fail *f);
/* The same password under today's parameters; no policy. */
enum err rehash_password(struct ctl *c, struct str password, char phc[PASSWORD_PHC_LEN]);
/* OK or E_INVALID_CREDENTIALS, taking as long for an account without a hash (phc.p NULL) as for one
 * with. E_OVERLOADED. weaker (may be NULL): hash it again. */
enum err password_check(struct ctl *c, struct str password, struct str phc, bool *weaker,
    struct fail *f);

#endif
