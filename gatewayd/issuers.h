/* Whom this process believes beside itself, as the configuration says: the OpenID provider, the
 * issuers of tokens, and the thread that fetches their keys. Main thread only, but what it gives to
 * `struct ctl` and to the workers is for any of theirs. */
#ifndef GATEWAYD_ISSUERS_H
#define GATEWAYD_ISSUERS_H

#include <stddef.h>

#include "base/err.h"

struct config;
struct ctl;
struct issuer;
struct oidc;
struct providers;

struct issuers {
	struct providers *providers;
	struct oidc *oidc; /* NULL: none is configured */
	struct issuer *tokens; /* authn/issuer.h; for the workers, until issuers_close */
	size_t ntokens;
};

/* Checks the addresses; fetches nothing. */
enum err issuers_open(struct issuers *i, const struct config *config, struct fail *f);
/* Starts to fetch; ctl->oidc is there from then on. */
enum err issuers_start(struct issuers *i, struct ctl *ctl, struct fail *f);
/* Whoever waits for keys is told that none come. Before the control lane is waited for. */
void issuers_stop(struct issuers *i);
/* Once nobody verifies any more. Also after a failed open. */
void issuers_close(struct issuers *i);

#endif
