/* One-time tokens that travel in mail: table `one_time_token`. Whoever has one reads the mail of an
 * address; it is used once, within its life, and only while the user still has that address. The store
 * keeps hashes (crypto/token.h). Any use and any newer token of the same kind ends a token, and of any
 * number of uses at once, on any number of replicas, one wins: its guard is part of the batch that does
 * what the token allows. Blocking where a store is given: control lane. */
#ifndef IAM_ONE_TIME_H
#define IAM_ONE_TIME_H

#include <stdint.h>

#include "base/err.h"
#include "base/id.h"
#include "base/str.h"
#include "crypto/token.h"

struct store;
struct write;

enum one_time_kind { ONE_TIME_VERIFY, ONE_TIME_RESET };

/* How long a token of the kind lives, microseconds: verify 24 h, reset 30 min. */
int64_t one_time_life(enum one_time_kind k);

/* Makes a token for the user and ends its older ones of the kind. email_fold: of the address that the
 * mail goes to (iam/email.h). token: in plain, for the mail alone; the caller wipes it. */
void one_time_add(struct write *w, enum one_time_kind k, struct id user, struct str email_fold,
    char token[TOKEN_LEN]);

struct one_time {
	unsigned char hash[TOKEN_HASH];
	struct id user;
};
/* The token as presented. E_TOKEN_INVALID: unknown, of another kind, used, replaced, expired, or its
 * user is gone, disabled or has another address by now; which of them is not told. It changes nothing:
 * one_time_use in the write that follows decides. */
enum err one_time_find(struct store *s, enum one_time_kind k, struct str token, int64_t now,
    struct one_time *out, struct fail *f);
/* Uses it up. E_TOKEN_INVALID at the commit when meanwhile anything of the above has come true. */
void one_time_use(struct write *w, const struct one_time *t);
/* Ends the token of one kind. No guard. */
void one_time_end(struct write *w, enum one_time_kind k, struct id user);
/* Ends every token of the user: a changed password voids a reset that is under way. No guard. */
void one_time_end_all(struct write *w, struct id user);

#endif
