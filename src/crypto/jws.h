/* JWS in compact form (RFC 7515) and the keys for it (RFC 7517, 7518, 8037), by GnuTLS. The key
 * decides the algorithm: the header's `alg` must equal the key's. Strict base64url, exactly three
 * parts, no `crit`, header members that would bring a key (jku, x5u, jwk, x5c) are refused, duplicate
 * members are refused. This checks signatures, not claims (jwt.h does).
 *
 * Keys are immutable and may be used by any thread at once. */
#ifndef CRYPTO_JWS_H
#define CRYPTO_JWS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"

enum jws_alg { JWS_NO_ALG, JWS_ES256, JWS_RS256, JWS_PS256, JWS_EDDSA };

/* By the name in a header; 0: none that is known. */
enum jws_alg jws_alg_of(struct str name);

struct jws_key; /* public, or public and private */

struct json_t;

/* A new P-256 key pair. */
enum err jws_key_generate(struct jws_key **key, struct fail *f);
/* From a JWK object: EC P-256, RSA (2048 to 8192 bits), OKP Ed25519. `alg` of the JWK, when there, must
 * fit; RSA without `alg` is RS256. The private parts are taken when present. Off-curve points,
 * small keys and `use` other than "sig" are E_INVALID_FIELD. */
enum err jws_key_from_jwk(const struct json_t *jwk, struct jws_key **key, struct fail *f);
/* The private scalar of an ES256 key, 32 bytes big-endian, and back. For storage under AEAD. */
enum err jws_key_private(const struct jws_key *key, unsigned char out[32]);
enum err jws_key_from_private(const unsigned char d[32], struct jws_key **key, struct fail *f);
void jws_key_free(struct jws_key *key);
enum jws_alg jws_key_alg(const struct jws_key *key);
/* RFC 7638 SHA-256 thumbprint, base64url, 43 characters and NUL. */
void jws_key_thumbprint(const struct jws_key *key, char out[44]);
/* Appends the public JWK as a JSON object with kid, alg and use. */
void jws_key_write_jwk(const struct jws_key *key, struct str kid, struct buf *out);

/* The pieces of a token; views into it and into `scratch`. */
struct jws {
	struct str signing_input; /* header "." payload, as sent */
	struct str alg, kid, typ; /* decoded header values; kid, typ STR_NONE when absent */
	struct str payload;       /* decoded */
	unsigned char sig[1024];
	size_t sig_len;
};
/* Takes the token apart without trusting any of it. `scratch` holds decoded bytes and must have room
 * for token.n bytes. E_UNAUTHENTICATED for anything irregular. Tokens past 16 KiB are refused. */
enum err jws_parse(struct str token, char *scratch, size_t cap, struct jws *out);
/* OK or E_UNAUTHENTICATED. Checks out->alg against the key. */
enum err jws_verify(const struct jws *j, const struct jws_key *key);
/* Appends the compact token. ES256 signatures are the 64 bytes r || s (RFC 7518, 3.4). */
enum err jws_sign(const struct jws_key *key, struct str header_json, struct str payload_json,
    struct buf *out);

#endif
