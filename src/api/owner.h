/* When somebody has shown to be the owner of an account, the throttle is told, in the write that it is
 * shown by: strangers' attempts slow the owner down no more from there (iam/throttle.h). Control lane.
 * Without memory nothing is told, and it stays as it was. */
#ifndef API_OWNER_H
#define API_OWNER_H

#include "base/str.h"

struct ctl;
struct request;
struct write;

/* The owner of the account with that address signs in. */
void owner_signs_in(struct ctl *c, struct request *r, struct write *w, struct str email);
/* ... sets another password: elsewhere nobody is known as the owner any more, and another reset link, should
 * it be asked for, is sent at once. */
void owner_sets_password(struct ctl *c, struct request *r, struct write *w, struct str email);

/* An administrator sets the password, for somebody who can't come in: strangers elsewhere slow nobody down
 * for what they have tried so far. */
void owner_gets_password(struct ctl *c, struct request *r, struct write *w, struct str email);

#endif
