/* Signing up where the address is to be proved by mail (auth.signup: verify). The answer, and what it
 * costs, is the same whether the address is new or not. Control lane. */
#ifndef API_SIGNUP_H
#define API_SIGNUP_H

#include "base/err.h"
#include "base/str.h"

struct ctl;
struct request;
struct user;

/* u: the account to be, its password hashed; password: as given; fold: the folded address.
 *
 * New: it is made, and gets a link to confirm the address. Waiting for that already: it keeps its first
 * password, and a second link goes out only to whoever knows it; others make it void and the reader of
 * the mail gets a link to choose a password, so that no click confirms a password of somebody else's.
 * Anything else: the owner is told that there is an account. */
enum err signup_verified(struct ctl *c, struct request *r, const struct user *u,
    struct str password, struct str fold, struct fail *f);

#endif
