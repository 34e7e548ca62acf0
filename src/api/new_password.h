/* Passwords as they arrive: normalised, held to the policy when they are new, hashed. Control lane; the
 * hashing waits for its turn. */
#ifndef API_NEW_PASSWORD_H
#define API_NEW_PASSWORD_H

#include <stdbool.h>

#include "base/err.h"
#include "base/str.h"
#include "crypto/password.h"

struct ctl;

/* E_WEAK_PASSWORD: too short, too long, not UTF-8, or the account's own e-mail address. */
enum err new_password_hash(struct ctl *c, struct str password, struct str email,
    char phc[PASSWORD_PHC_LEN], struct fail *f);
/* OK or E_INVALID_CREDENTIALS, taking as long for an account without a hash (phc.p NULL) as for one
 * with. E_OVERLOADED. weaker (may be NULL): hash it again. */
enum err password_check(struct ctl *c, struct str password, struct str phc, bool *weaker,
    struct fail *f);

#endif
