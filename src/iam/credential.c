#include "iam/credential.h"

#include "iam/write.h"
#include "store/list.h"

static const char *const kinds[] = {
	[CREDENTIAL_SECRET] = "secret",
	[CREDENTIAL_API_KEY] = "api_key",
	[CREDENTIAL_CERTIFICATE] = "certificate",
	[CREDENTIAL_JWT] = "jwt",
};

const char *credential_kind_name(enum credential_kind k)
{
	return kinds[k];
}

void credential_insert(struct write *w, const struct credential *c, const unsigned char *hash)
{
	WRITE1(w, E_NOT_FOUND, "UPDATE service_account SET updated_at = updated_at WHERE id = ?",
	    SV_ID(&c->service_account));
	WRITE1(w, E_CONFLICT,
	    "INSERT INTO credential (id, service_account, kind, secret_hash, issuer, subject, expires_at,"
	    " created_at) SELECT ?, ?, ?, ?, ?, ?, ?, ? WHERE NOT EXISTS (SELECT 1 FROM credential"
	    " WHERE subject = ? AND kind = 'certificate' AND kind = ?) AND NOT EXISTS"
	    " (SELECT 1 FROM credential WHERE issuer = ? AND subject = ? AND kind = 'jwt' AND kind = ?)"
	    " AND NOT EXISTS (SELECT 1 FROM identity WHERE issuer = ? AND subject = ?)",
	    SV_ID(&c->id), SV_ID(&c->service_account), SV_Z(kinds[c->kind]),
	    hash != NULL ? SV_BLOB(str_n((const char *)hash, 32)) : SV_NULL,
	    sv_text_or_null(c->issuer), sv_text_or_null(c->subject), sv_int_or_null(c->expires_at),
	    SV_INT(w->now), sv_text_or_null(c->subject), SV_Z(kinds[c->kind]),
	    sv_text_or_null(c->issuer), sv_text_or_null(c->subject), SV_Z(kinds[c->kind]),
	    sv_text_or_null(c->issuer), sv_text_or_null(c->subject));
	WRITE1(w, E_LIMIT,
	    "UPDATE credential SET created_at = ? WHERE id = ?"
	    " AND (SELECT count(*) FROM credential WHERE service_account = ?) <= ?",
	    SV_INT(w->now), SV_ID(&c->id), SV_ID(&c->service_account), SV_INT(CREDENTIALS_MAX));
	write_change_id(w, CHANGE_CREDENTIAL, &c->id);
}

void credential_guard_free(struct write *w, struct id user, struct str issuer, struct str subject)
{
	WRITE1(w, E_IDENTITY_TAKEN, "UPDATE user SET updated_at = updated_at WHERE id = ? AND NOT EXISTS"
	    " (SELECT 1 FROM credential WHERE issuer = ? AND subject = ? AND kind = 'jwt')", SV_ID(&user),
	    SV_TEXT(issuer), SV_TEXT(subject));
}

void credential_delete(struct write *w, struct id service_account, struct id id)
{
	WRITE1(w, E_NOT_FOUND, "DELETE FROM credential WHERE id = ? AND service_account = ?",
	    SV_ID(&id), SV_ID(&service_account));
	write_change_id(w, CHANGE_CREDENTIAL, &id);
}

void credential_delete_all(struct write *w, struct id service_account)
{
	WRITE(w, "INSERT INTO change (kind, key, at) SELECT 'credential', id, ? FROM credential"
	    " WHERE service_account = ?", SV_INT(w->now), SV_ID(&service_account));
	WRITE(w, "DELETE FROM credential WHERE service_account = ?", SV_ID(&service_account));
	w->changes = true;
}

static enum credential_kind kind_of(struct str s)
{
	for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
		if (str_eqc(s, kinds[i]))
			return (enum credential_kind)i;
	return CREDENTIAL_CERTIFICATE;
}

static void from_row(const struct store_rows *r, size_t i, void *item)
{
	*(struct credential *)item = (struct credential){
		.id = store_id(r, i, 0),
		.service_account = store_id(r, i, 1),
		.kind = kind_of(store_str(r, i, 2)),
		.issuer = store_str(r, i, 3),
		.subject = store_str(r, i, 4),
		.expires_at = store_int(r, i, 5),
		.last_used_at = store_int(r, i, 6),
		.created_at = store_int(r, i, 7),
	};
}

enum err credential_list(struct store *s, struct id service_account, struct arena *a,
    struct credential **out, size_t *n, struct fail *f)
{
	struct store_stmt q = STMT("SELECT id, service_account, kind, issuer, subject, expires_at,"
	    " last_used_at, created_at FROM credential WHERE service_account = ? ORDER BY id",
	    SV_ID(&service_account));

	return STORE_LIST(s, STORE_FRESH, &q, a, from_row, out, n, f);
}
