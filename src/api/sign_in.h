/* The one door through which a person gets a session, whatever the first factor was. Control lane. */
#ifndef API_SIGN_IN_H
#define API_SIGN_IN_H

#include "base/err.h"
#include "base/str.h"

struct ctl;
struct request;
struct user;
struct write;

/* Opens a session for u (id and email are taken) who has proved itself by `amr` ("pwd", "pwd otp"),
 * commits it with what the write holds already, and replies with the token set. phc: the password hash
 * that was checked (.p NULL: none), which must still hold. E_INVALID_CREDENTIALS when it does not, or
 * the user is gone or disabled.
 *
 * E_MFA_REQUIRED, with the token of a challenge and the methods that answer it as details, when u has a
 * second factor and amr names none: the write is committed with the challenge instead of a session. */
enum err sign_in(struct ctl *c, struct request *r, struct write *w, const struct user *u,
    struct str phc, struct str amr, struct fail *f);

#endif
