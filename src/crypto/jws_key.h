/* The inside of a key, shared by jws.c and jws_key.c; others see crypto/jws.h. Immutable after it
 * was made: any thread. */
#ifndef CRYPTO_JWS_KEY_H
#define CRYPTO_JWS_KEY_H

#include <gnutls/abstract.h>

#include "base/secret.h"
#include "crypto/jws.h"

struct jws_key {
	enum jws_alg alg;
	gnutls_pubkey_t pub;
	gnutls_privkey_t priv; /* NULL: public only */
	struct secret d;       /* ES256 with its private part: the scalar */
	size_t sig_len;        /* of every signature by this key */
	struct buf members;    /* the public members as RFC 7638 hashes them */
	char thumbprint[44];
};

/* As in the header's `alg`. */
const char *jws_alg_name(enum jws_alg alg);

#endif
