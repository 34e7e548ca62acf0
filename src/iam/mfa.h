/* Second factors: tables `mfa_totp`, `mfa_recovery_code`, `mfa_challenge`. A user with a confirmed
 * authenticator gets no session by a first factor alone: session_insert holds to that, and sign-in asks
 * for a challenge instead. Whatever is accepted once (a challenge, a TOTP step, a recovery code) is
 * guarded in the batch that does what it allows, so of any number of answers at once, on any number of
 * replicas, one wins. No cache holds any of this: no change rows. Blocking where a store is given:
 * control lane. */
#ifndef IAM_MFA_H
#define IAM_MFA_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/id.h"
#include "base/str.h"
#include "crypto/recovery_code.h"
#include "crypto/token.h"
#include "crypto/totp.h"

struct seal;
struct store;
struct write;

#define MFA_CHALLENGE_TRIES 5 /* answers to one challenge */
#define MFA_USER_TRIES 20     /* answers of one user, right ones apart, in any MFA_WINDOW */
#define MFA_WINDOW_MIN 5      /* minutes; also the life of a challenge */

/* What the store has of a user's second factor. */
struct mfa {
	struct id user;
	bool confirmed, pending; /* an authenticator; one that waits for its first code */
	int64_t last_step;
	struct str secret_sealed, pending_sealed; /* in the arena */
};
/* Never E_NOT_FOUND: a user without has neither. */
enum err mfa_read(struct store *s, struct id user, struct arena *a, struct mfa *out, struct fail *f);

/* ---- enrolment ------------------------------------------------------------------------------ */

/* Keeps a new secret until a code confirms it; replaces one that was pending. */
enum err mfa_enroll(struct write *w, const struct seal *seal, struct id user,
    const unsigned char secret[TOTP_SECRET]);
/* Makes the pending authenticator the user's, if the code is one of it; E_MFA_INVALID, then or at the
 * commit when another enrolment came between. With it go the recovery codes that were. */
enum err mfa_confirm(struct write *w, const struct seal *seal, const struct mfa *m, struct str code);
/* Ten new recovery codes for the ones that were. codes: in plain, for the user alone; the caller wipes
 * them. Guard E_CONFLICT: there is a confirmed authenticator. */
enum err mfa_recovery_codes(struct write *w, const struct seal *seal, struct id user,
    char codes[RECOVERY_CODES][RECOVERY_CODE_LEN]);
/* Takes the second factor away, with everything that waits for it. No guard. */
void mfa_delete(struct write *w, struct id user);

/* ---- answering ------------------------------------------------------------------------------ */

/* Makes a challenge. Guard E_INVALID_CREDENTIALS: the user is there, enabled, and `phc` is still its
 * password hash (.p NULL: not looked at). token: in plain, for the caller alone, who wipes it. */
void mfa_challenge_add(struct write *w, struct id user, struct str phc, struct str amr,
    char token[TOKEN_LEN]);
/* Ends all challenges of the user: its first factor has changed. No guard. */
void mfa_challenge_end_all(struct write *w, struct id user);

struct mfa_challenge {
	unsigned char hash[TOKEN_HASH];
	struct id user;
	struct str amr; /* in the arena */
};
/* E_MFA_INVALID: unknown, answered, expired or tried too often; which of them is not told. */
enum err mfa_challenge_find(struct store *s, struct str token, int64_t now, struct arena *a,
    struct mfa_challenge *out, struct fail *f);
/* Counts an answer, to be committed before the answer is looked at. E_MFA_INVALID: no more are taken
 * for the challenge; E_RATE_LIMITED: none of the user for now. */
void mfa_challenge_count(struct write *w, const struct mfa_challenge *c);
/* The same without a challenge: an answer of somebody who is signed in. */
void mfa_count(struct write *w, struct id user);
/* Uses the challenge up. E_MFA_INVALID at the commit. */
void mfa_challenge_use(struct write *w, const struct mfa_challenge *c);

/* Accepts a code of the authenticator, once: E_MFA_INVALID when it is wrong or used, and at the commit
 * when somebody was faster. */
enum err mfa_use_code(struct write *w, const struct seal *seal, const struct mfa *m, struct str code);
/* The same for a recovery code. */
enum err mfa_use_recovery_code(struct write *w, const struct seal *seal, struct id user,
    struct str typed);

#endif
