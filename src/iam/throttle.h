/* Who has to wait before the next attempt: limits for each client address in memory, and for each
 * account in the store, where replicas share them and no restart forgets them. Only refused attempts
 * count (but for what sends mail), each makes the next delay longer, and who has to wait is told how
 * long (429, Retry-After) before any work is done for it. docs/abuse.md says what protects whom.
 *
 * An account has two counts: one for each network that tries it, and one for all networks together from
 * which nobody has signed in to it yet. Where its owner has been before, only the first holds, so a
 * stranger elsewhere can't lock the owner out; a new password set by mail makes a network known as well.
 * Accounts are named by text, whether they exist or not, and everything here is the same for both.
 *
 * One for the process. throttle_look and throttle_count: any thread, without locks. What says so
 * blocks: control lane. NULL for the throttle: nothing is limited (tests). */
#ifndef IAM_THROTTLE_H
#define IAM_THROTTLE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/id.h"
#include "base/network.h"
#include "base/str.h"

struct buf;
struct config;
struct request;
struct seal;
struct store;
struct throttle;
struct write;

enum throttle_rule {
	THROTTLE_SIGNIN,     /* passwords, wherever they are given */
	THROTTLE_MFA,        /* second factors */
	THROTTLE_TOKEN,      /* client_credentials */
	THROTTLE_CREDENTIAL, /* API keys and client secrets with a request */
	THROTTLE_LINK,       /* tokens that came by mail */
	THROTTLE_FORGOT,     /* each request counts */
	THROTTLE_SIGNUP,     /* each request counts */
	THROTTLE_REFUSED,    /* changes that somebody asks for and is refused: each is an audit record */
	THROTTLE__COUNT
};

/* Who tries, and when. */
struct throttle_who {
	struct network from;
	struct str account; /* folded e-mail address, or an id; STR_NONE: the address alone counts */
	int64_t wall, mono; /* microseconds */
};

/* The client of the request, now. */
struct throttle_who throttle_who(const struct request *r, struct str account);

enum err throttle_new(struct store *s, const struct seal *seal, struct throttle **out);
void throttle_free(struct throttle *t);
/* Takes limits.attempts_per_address, limits.attempts_per_account and auth.answer_floor. Any thread. */
void throttle_configure(struct throttle *t, const struct config *k);
/* The soonest, after an attempt came, that an answer is given whose time might tell of the account;
 * microseconds. Any thread. */
int64_t throttle_floor(const struct throttle *t);

/* ---- addresses alone ------------------------------------------------------------------------ */

/* E_RATE_LIMITED, with f->retry_after, when the address has to wait. */
enum err throttle_look(struct throttle *t, enum throttle_rule rule, const struct throttle_who *who,
    struct fail *f);
void throttle_count(struct throttle *t, enum throttle_rule rule, const struct throttle_who *who);

/* ---- principals ----------------------------------------------------------------------------- */

/* What is refused to a principal leaves a record each, so without a bound whoever may sign in could fill
 * the store: after a thousand, it is asked to wait before it is heard again. Any thread, without
 * locks. E_RATE_LIMITED, with f->retry_after. mono: clock_mono. */
enum err throttle_refused_look(struct throttle *t, const struct id *principal, int64_t mono,
    struct fail *f);
void throttle_refused_count(struct throttle *t, const struct id *principal, int64_t mono);

/* ---- attempts on accounts (blocking) -------------------------------------------------------- */

/* One attempt, from before it is looked at until its outcome is known. The caller's; what it holds is
 * the throttle's. */
struct throttle_try {
	struct throttle *t; /* NULL: none is under way */
	enum throttle_rule rule;
	struct throttle_who who;
	struct id pair, all, account, network;
	bool known;     /* the account was signed in to from there */
	bool settled;   /* ... within a day, and nothing counts against it: a success needs no write */
	bool rivals[2]; /* when it began, others were under way: of the pair, of the account */
	struct throttle_try *next;
};

/* E_RATE_LIMITED with f->retry_after: then no attempt is under way. Else throttle_settle or
 * throttle_passed must follow; who->account must live until then. */
enum err throttle_begin(struct throttle *t, enum throttle_rule rule, const struct throttle_who *who,
    struct throttle_try *y, struct fail *f);
/* e is the outcome. "Wrong" of any kind (E_INVALID_CREDENTIALS, E_UNAUTHENTICATED, E_MFA_INVALID,
 * E_TOKEN_INVALID) is counted, durably; anything else is not. Returns what is to be answered: e with f
 * as it is, or an error of the store in f, for what is not counted must not be told. */
enum err throttle_settle(struct throttle_try *y, enum err e, struct fail *f);
/* It was right, and no write of the caller's will say so: throttle_welcome in one of its own, if
 * needed. When that fails, it stays as it was. */
void throttle_passed(struct throttle_try *y);

/* For secrets that nobody guesses: they are looked at first, so that a right one is never kept
 * waiting. e, the outcome, goes as with throttle_settle; "wrong" becomes E_RATE_LIMITED for whoever
 * would have had to wait. Without an account it does not block. */
enum err throttle_wrong(struct throttle *t, enum throttle_rule rule, const struct throttle_who *who,
    enum err e, struct fail *f);

/* Adds to the write: the account's owner is there. What counts against the pair is forgotten. */
void throttle_welcome(struct throttle *t, struct write *w, const struct throttle_who *who);
/* Adds to the write: the password is a new one. Networks where the old one was good are known no
 * longer, but for this one. */
void throttle_estrange(struct throttle *t, struct write *w, const struct throttle_who *who);
/* Adds to the write: what strangers together have tried on the account counts no more. */
void throttle_pardon(struct throttle *t, struct write *w, struct str account);
/* Deletes what is worth nothing any more; cheap. */
void throttle_trim(struct throttle *t, int64_t now);

/* ---- letters (blocking) --------------------------------------------------------------------- */

/* At most five letters of a kind to an address within an hour, spread so that whoever asks for them, the
 * link in the last one has not expired when the next is due. */
struct throttle_letter {
	bool due;
	struct id key;
	int64_t n, at;
};
enum err throttle_letter_read(struct throttle *t, const char *kind, struct str address, int64_t now,
    struct throttle_letter *out, struct fail *f);
/* Counts one; E_RATE_LIMITED at the commit when another request has counted one meanwhile. */
void throttle_letter_add(struct throttle *t, struct write *w, const struct throttle_letter *l);

/* One was used: it reached its owner, who may have another at once. */
void throttle_letter_used(struct throttle *t, struct write *w, const char *kind, struct str address);

/* gateway_rate_limited_total. */
void throttle_write_metrics(struct throttle *t, struct buf *out);

#endif
