/* How service accounts prove themselves, whatever the class, and users by tokens of other issuers: look
 * whether this worker knows the proof, else ask the store on the control lane and remember. Worker
 * thread, but for `ask`. */
#ifndef AUTHN_MACHINE_H
#define AUTHN_MACHINE_H

#include "authn/class.h"
#include "authn/proof_cache.h"
#include "iam/credential_check.h"

struct machine {
	struct proof_key key;
	unsigned amr;
	/* on the control lane; fills in `proof` */
	enum err (*ask)(struct store *s, struct machine *m, int64_t now);
	struct str subjects[CREDENTIAL_SUBJECTS]; /* of a certificate; issuer and subject of a token */
	size_t nsubjects;
	int64_t until; /* of a token: the proof is good no longer than it; 0: no bound */
	struct credential_proof proof;
	bool user; /* the proof is a user's: it is looked up each time, for its second factor may change */
	uint64_t generation;
	int64_t now;
};

/* As a class's check. m lies in the request's arena. */
enum err machine_check(struct attempt *t, struct machine *m);

#endif
