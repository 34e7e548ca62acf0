/* Which service account a presented credential proves: reading only, and the coarse note of its
 * last use. Whether the account is enabled is the principal's matter. Blocking: control lane. */
#ifndef IAM_CREDENTIAL_CHECK_H
#define IAM_CREDENTIAL_CHECK_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/id.h"
#include "base/str.h"

struct store;

struct credential_proof {
	struct id credential, service_account;
	int64_t expires_at; /* wall, microseconds; 0: never */
};

/* OK, E_UNAUTHENTICATED when it proves nothing (unknown, another secret, another kind, expired at
 * `now`), or why the store did not answer. Secrets are compared in constant time. */

/* hash: of the key's secret, 32 bytes (crypto/api_key.h). */
enum err credential_check_key(struct store *s, struct id credential,
    const unsigned char hash[32], int64_t now, struct credential_proof *out, struct fail *f);
/* hash: of the client secret (crypto/token.h, CREDENTIAL_PURPOSE); any secret of the account will
 * do. */
enum err credential_check_secret(struct store *s, struct id service_account,
    const unsigned char hash[32], int64_t now, struct credential_proof *out, struct fail *f);
/* A verified certificate with these subjects (its subject or SANs). Also E_UNAUTHENTICATED when
 * they belong to more than one service account: it must not be a matter of order who somebody
 * is. */
#define CREDENTIAL_SUBJECTS 32
enum err credential_check_subjects(struct store *s, const struct str *subjects, size_t n,
    int64_t now, struct credential_proof *out, struct fail *f);

/* A verified token of another issuer with this subject. */
enum err credential_check_external(struct store *s, struct str issuer, struct str subject, int64_t now,
    struct credential_proof *out, struct fail *f);

/* Notes the use, at most once an hour. A failure is of no consequence. */
#define CREDENTIAL_USE_NOTED_US (INT64_C(3600) * 1000000)
void credential_note_use(struct store *s, struct id credential, int64_t now);

#endif
