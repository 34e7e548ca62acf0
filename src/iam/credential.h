/* What service accounts prove themselves with: the table `credential`. Several live side by side, so
 * that rotation overlaps: add the new one, move over, delete the old one. Only hashes of secrets are
 * kept. Functions that change append to a write. Blocking where a store is given. */
#ifndef IAM_CREDENTIAL_H
#define IAM_CREDENTIAL_H

#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/id.h"
#include "store/store.h"

struct write;

#define CREDENTIALS_MAX 20 /* of one service account */
#define CREDENTIAL_PURPOSE "client_secret" /* purpose of token.h for kind secret */

enum credential_kind { CREDENTIAL_SECRET, CREDENTIAL_API_KEY, CREDENTIAL_CERTIFICATE,
	CREDENTIAL_JWT /* tokens of another issuer that name this subject */ };
const char *credential_kind_name(enum credential_kind k);

struct credential {
	struct id id, service_account;
	enum credential_kind kind;
	struct str issuer;     /* of tokens; .p NULL otherwise */
	struct str subject;    /* of a certificate or of tokens; .p NULL otherwise */
	int64_t expires_at;    /* 0: never */
	int64_t last_used_at;  /* coarse; 0: never */
	int64_t created_at;
};

/* hash: of the secret, 32 bytes; NULL where there is a subject. E_NOT_FOUND: no such service account.
 * E_LIMIT: it has CREDENTIALS_MAX. E_CONFLICT: the subject is taken, by an account or, of an issuer, by a
 * user's identity: it would prove neither from then on. */
void credential_insert(struct write *w, const struct credential *c, const unsigned char *hash);
/* A guard for linking an identity to the user: no service account lists it. E_IDENTITY_TAKEN. */
void credential_guard_free(struct write *w, struct id user, struct str issuer, struct str subject);
/* E_NOT_FOUND. */
void credential_delete(struct write *w, struct id service_account, struct id id);
void credential_delete_all(struct write *w, struct id service_account);
/* All of an account, oldest first. */
enum err credential_list(struct store *s, struct id service_account, struct arena *a,
    struct credential **out, size_t *n, struct fail *f);

#endif
