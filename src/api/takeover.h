/* Whoever sets another's password, changes the address that resets it, or makes a credential for
 * it can act as it from then on. That is granting oneself its rights, and nobody grants what they
 * do not hold. Control lane. */
#ifndef API_TAKEOVER_H
#define API_TAKEOVER_H

#include "base/err.h"
#include "base/id.h"

struct ctl;
struct request;
struct write;

/* OK when the caller holds everything that the principal holds, from current state; else
 * E_FORBIDDEN. w, which is empty yet, gets a guard that it is still so when it is committed: then the
 * commit fails with E_PRECONDITION_FAILED, and this is to be asked again (etag_again). */
enum err refuse_takeover(struct ctl *c, struct request *r, struct id principal, struct write *w,
    struct fail *f);

#endif
