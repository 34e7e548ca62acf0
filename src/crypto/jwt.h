/* Access tokens of ours (RFC 9068, without roles: a decision is always made from current state): what
 * they claim, how they are issued, and the whole way from text to trusted claims. Only tokens that
 * this gateway's keyring signs; tokens of other issuers go through jws.h and their own rules. Whether
 * the session still lives is not known here.
 *
 * Times inside a token are seconds; `now` and `leeway` are microseconds as everywhere. Any thread. */
#ifndef CRYPTO_JWT_H
#define CRYPTO_JWT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/id.h"
#include "base/str.h"

struct jsonr;
struct jws;
struct keyring;

#define JWT_AUD_MAX 4
/* Claims are at most this long as JSON; with header and signature a token stays below 4 KiB. */
#define JWT_ACCESS_MAX 2560

/* How the person or service proved who it is (RFC 8176 where it has a name): a set of bits. */
enum jwt_amr {
	JWT_AMR_PWD = 1,       /* "pwd"    password */
	JWT_AMR_OTP = 2,       /* "otp"    time-based code */
	JWT_AMR_MFA = 4,       /* "mfa"    more than one factor */
	JWT_AMR_RECOVERY = 8,  /* "rcv"    recovery code */
	JWT_AMR_FEDERATED = 16,/* "fed"    another OpenID provider vouched */
	JWT_AMR_SECRET = 32,   /* "secret" a service account's secret */
	JWT_AMR_CERT = 64,     /* "cert"   client certificate */
};

struct jwt_access {
	struct id sub, jti;
	struct id sid; /* all zero: no session (service accounts) */
	int64_t iat, exp;  /* seconds since the epoch, as the next two */
	int64_t auth_time; /* 0: absent */
	int64_t nbf;       /* 0: absent; we never write it, but honour it */
	unsigned amr;      /* enum jwt_amr; unknown methods are ignored */
	struct str iss;
	struct str aud[JWT_AUD_MAX]; /* the first without .p ends the list */
};

/* The text of each bit, in one JSON array: for /v1/me too. */
void jwt_amr_write(unsigned amr, struct buf *out);

/* The bits of names separated by blanks, as sessions keep them; unknown names are ignored. */
unsigned jwt_amr_parse(struct str names);
/* The inverse: the names with a blank between them. */
#define JWT_AMR_TEXT 40 /* with the NUL */
struct str jwt_amr_text(unsigned amr, char out[JWT_AMR_TEXT]);

/* Appends the signed token. E_NOT_READY when the keyring has no key that signs. */
enum err jwt_access_issue(const struct keyring *k, const struct jwt_access *claims,
    struct buf *out);

/* A NumericDate (RFC 7519, 2): whole seconds, from 0 to the year 9999. Of any kind of token. */
bool jwt_time_read(struct jsonr *r, int64_t *out);

/* Reads the claims of a token whose signature the caller has verified. The payload is decoded in
 * place (it lies in jws_parse's scratch); views point there. Refused: a `typ` other than at+jwt,
 * a claim twice, a required claim missing (iss aud sub jti iat exp), of another type or empty,
 * times that are not whole seconds from 0 to the year 9999. E_UNAUTHENTICATED. */
enum err jwt_access_parse(const struct jws *j, struct jwt_access *out);

/* iss equals, aud contains, now is before exp, not before nbf nor iat; each within the leeway.
 * E_UNAUTHENTICATED. */
enum err jwt_access_check(const struct jwt_access *claims, struct str issuer, struct str audience,
    int64_t now, int64_t leeway);

/* What a token must satisfy, and where it is taken apart. */
struct jwt_verifier {
	const struct keyring *keys;
	struct str issuer, audience;
	int64_t leeway;
	char *scratch; /* cap bytes; views in the claims point there until its next use */
	size_t cap;
};
/* All of it, in the order that is safe: parse, key by kid, key still good, signature, claims. Returns
 * E_UNAUTHENTICATED and in *reason (may be NULL) a static label for metrics and the log: malformed,
 * unknown_key, signature, claims, expired. Never tell it to the caller of the gateway. */
enum err jwt_access_verify(const struct jwt_verifier *v, struct str token, int64_t now,
    struct jwt_access *out, const char **reason);

#endif
