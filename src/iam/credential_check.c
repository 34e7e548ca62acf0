#include "iam/credential_check.h"

#include <assert.h>

#include "base/arena.h"
#include "base/secret.h"
#include "store/store.h"

#define READ_MAX (1u << 20)

enum { COL_ID, COL_ACCOUNT, COL_EXPIRES_AT, COL_LAST_USED_AT, COL_HASH };

static bool expired(const struct store_rows *r, size_t i, int64_t now)
{
	return !store_is_null(r, i, COL_EXPIRES_AT) && store_int(r, i, COL_EXPIRES_AT) <= now;
}

static void take(struct store *s, const struct store_rows *r, size_t i, int64_t now,
    struct credential_proof *out)
{
	*out = (struct credential_proof){ .credential = store_id(r, i, COL_ID),
		.service_account = store_id(r, i, COL_ACCOUNT),
		.expires_at = store_int(r, i, COL_EXPIRES_AT) };
	if (store_int(r, i, COL_LAST_USED_AT) + CREDENTIAL_USE_NOTED_US <= now)
		credential_note_use(s, out->credential, now);
}

/* The row whose secret it is and which still holds. All rows are compared, whichever fits. */
static enum err take_secret(struct store *s, const struct store_stmt *read,
    const unsigned char hash[32], int64_t now, struct credential_proof *out, struct fail *f)
{
	struct str want = { (const char *)hash, 32 };
	size_t found = SIZE_MAX;
	struct store_rows r;
	struct arena a;
	enum err e;

	arena_init(&a, READ_MAX);
	e = store_read(s, STORE_LINEAR, read, 1, &a, &r, f);
	for (size_t i = 0; e == OK && i < r.nrows; i++)
		if (secret_eq(store_str(&r, i, COL_HASH), want) && !expired(&r, i, now))
			found = i;
	if (e == OK && found == SIZE_MAX)
		e = fail_set(f, E_UNAUTHENTICATED, "the credential proves no service account");
	else if (e == OK)
		take(s, &r, found, now, out);
	arena_release(&a);
	return e;
}

enum err credential_check_key(struct store *s, struct id credential,
    const unsigned char hash[32], int64_t now, struct credential_proof *out, struct fail *f)
{
	const struct store_stmt read = STMT("SELECT id, service_account, expires_at, last_used_at, "
	                                    "secret_hash FROM credential WHERE id = ? AND "
	                                    "kind = 'api_key'", SV_ID(&credential));

	return take_secret(s, &read, hash, now, out, f);
}

enum err credential_check_secret(struct store *s, struct id service_account,
    const unsigned char hash[32], int64_t now, struct credential_proof *out, struct fail *f)
{
	const struct store_stmt read = STMT("SELECT id, service_account, expires_at, last_used_at, "
	                                    "secret_hash FROM credential WHERE service_account = ? "
	                                    "AND kind = 'secret'", SV_ID(&service_account));

	return take_secret(s, &read, hash, now, out, f);
}

/* The one account that the rows name. */
static enum err take_only(struct store *s, const struct store_rows *rows, size_t n, int64_t now,
    struct credential_proof *out)
{
	const struct store_rows *found = NULL;

	for (size_t i = 0; i < n; i++) {
		if (rows[i].nrows == 0 || expired(&rows[i], 0, now))
			continue;
		if (found != NULL && !id_eq(store_id(found, 0, COL_ACCOUNT),
		        store_id(&rows[i], 0, COL_ACCOUNT)))
			return E_UNAUTHENTICATED;
		found = &rows[i];
	}
	if (found == NULL)
		return E_UNAUTHENTICATED;
	take(s, found, 0, now, out);
	return OK;
}

enum err credential_check_subjects(struct store *s, const struct str *subjects, size_t n,
    int64_t now, struct credential_proof *out, struct fail *f)
{
	struct store_stmt reads[CREDENTIAL_SUBJECTS];
	struct store_val vals[CREDENTIAL_SUBJECTS];
	struct store_rows rows[CREDENTIAL_SUBJECTS];
	struct arena a;
	enum err e;

	assert(n <= CREDENTIAL_SUBJECTS);
	if (n == 0)
		return fail_set(f, E_UNAUTHENTICATED, "the certificate has no subject");
	for (size_t i = 0; i < n; i++) {
		vals[i] = SV_TEXT(subjects[i]);
		reads[i] = (struct store_stmt){ .sql = "SELECT id, service_account, expires_at, "
			"last_used_at FROM credential WHERE subject = ? AND kind = 'certificate'",
			.v = &vals[i], .n = 1, .expect = STORE_ANY };
	}
	arena_init(&a, READ_MAX);
	e = store_read(s, STORE_LINEAR, reads, n, &a, rows, f);
	if (e == OK && (e = take_only(s, rows, n, now, out)) != OK)
		fail_set(f, e, "the certificate proves no single service account");
	arena_release(&a);
	return e;
}

enum err credential_check_external(struct store *s, struct str issuer, struct str subject, int64_t now,
    struct credential_proof *out, struct fail *f)
{
	const struct store_stmt read = STMT("SELECT id, service_account, expires_at, last_used_at FROM "
	                                    "credential WHERE issuer = ? AND subject = ? AND kind = 'jwt'",
	    SV_TEXT(issuer), SV_TEXT(subject));
	struct store_rows rows;
	struct arena a;
	enum err e;

	arena_init(&a, READ_MAX);
	e = store_read(s, STORE_LINEAR, &read, 1, &a, &rows, f);
	if (e == OK && (e = take_only(s, &rows, 1, now, out)) != OK)
		fail_set(f, e, "the token proves no service account");
	arena_release(&a);
	return e;
}

void credential_note_use(struct store *s, struct id credential, int64_t now)
{
	const struct store_stmt note = STMT("UPDATE credential SET last_used_at = ? WHERE id = ? AND "
	                                    "coalesce(last_used_at, 0) <= ?",
	    SV_INT(now), SV_ID(&credential), SV_INT(now - CREDENTIAL_USE_NOTED_US));

	(void)store_write(s, &(struct store_batch){ .op_id = id_new(now), .stmts = &note, .n = 1 },
	    NULL, NULL);
}
