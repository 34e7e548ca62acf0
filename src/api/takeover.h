/* Whoever sets another's password, changes the address that resets it, or makes a credential for
 * it can act as it from then on. That is granting oneself its rights, and nobody grants what they
 * do not hold. Control lane. */
#ifndef API_TAKEOVER_H
#define API_TAKEOVER_H

#include "base/err.h"
#include "base/id.h"

struct ctl;
struct request;

/* OK when the caller holds everything that the principal holds, from current state; else
 * E_FORBIDDEN. */
enum err refuse_takeover(struct ctl *c, struct request *r, struct id principal, struct fail *f);

#endif
