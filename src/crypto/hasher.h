/* Password hashing for many callers, on threads of its own: at most `threads` hashes run at once, at
 * most `queue` callers wait; the next is refused at once, so that a sign-in storm costs sign-ins and
 * nothing else. The threads give way to the rest of the process (a positive nice value; they hold no
 * lock while they hash, so nobody waits for them who did not ask for a hash). Blocking: control lane
 * only. Thread-safe. */
#ifndef CRYPTO_HASHER_H
#define CRYPTO_HASHER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/str.h"
#include "crypto/password.h"

struct hasher;

/* E_NOMEM, also when a thread could not be started. */
enum err hasher_new(const struct password_params *p, int threads, size_t queue,
    struct hasher **out);
/* Other parameters from the next call on: weaker hashes are then said to be so. */
void hasher_configure(struct hasher *h, const struct password_params *p);
/* Nobody may be in a call any more. */
void hasher_free(struct hasher *h);
/* As password_hash with a fresh salt, password_verify and password_verify_dummy; also
 * E_OVERLOADED. phc empty: the account does not exist (dummy). */
enum err hasher_hash(struct hasher *h, struct str password, char phc[PASSWORD_PHC_LEN]);
enum err hasher_verify(struct hasher *h, struct str password, struct str phc, bool *weaker);
/* Callers that wait now; whether one more would be refused. Any thread, no lock, a moment old. */
size_t hasher_waiting(const struct hasher *h);
bool hasher_full(const struct hasher *h);

#endif
