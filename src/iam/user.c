#include "iam/user.h"

#include "iam/assignment.h"
#include "iam/identity.h"
#include "iam/mfa.h"
#include "iam/one_time.h"
#include "iam/session.h"
#include "iam/write.h"
#include "store/list.h"

#define COLUMNS \
	"u.id, u.email, u.display_name, u.password_phc, u.disabled, u.created_by, " \
	"u.email_verified_at, u.version, u.created_at, u.updated_at"

static void from_row(const struct store_rows *r, size_t i, void *item)
{
	*(struct user *)item = (struct user){
		.id = store_id(r, i, 0),
		.email = store_str(r, i, 1),
		.display_name = store_str(r, i, 2),
		.phc = store_str(r, i, 3),
		.disabled = store_int(r, i, 4) != 0,
		.has_creator = !store_is_null(r, i, 5),
		.created_by = store_id(r, i, 5),
		.email_verified_at = store_int(r, i, 6),
		.version = store_int(r, i, 7),
		.created_at = store_int(r, i, 8),
		.updated_at = store_int(r, i, 9),
	};
}

static enum err read_one(struct store *s, enum store_level level, const struct store_stmt *stmt,
    struct arena *a, struct user *out, struct fail *f)
{
	return store_one(s, level, stmt, a, from_row, "there is no such user", out, f);
}

enum err user_by_id(struct store *s, enum store_level level, struct id id, struct arena *a,
    struct user *out, struct fail *f)
{
	struct store_stmt q = STMT("SELECT " COLUMNS " FROM user u WHERE u.id = ?", SV_ID(&id));

	return read_one(s, level, &q, a, out, f);
}

/* What is typed where an address belongs may be a password, and a linearizable read is an entry in the
 * log of some rqlite servers: what is no address is asked for as another that nobody has. */
static struct str address_or_none(struct str fold)
{
	bool at = false;

	for (size_t i = 0; i < fold.n; i++) {
		at |= fold.p[i] == '@';
		if ((unsigned char)fold.p[i] <= ' ')
			return STR("");
	}
	return at ? fold : STR("");
}

enum err user_by_email(struct store *s, enum store_level level, struct str fold, struct arena *a,
    struct user *out, struct fail *f)
{
	struct store_stmt q = STMT("SELECT " COLUMNS " FROM user u WHERE u.email_fold = ?",
	    SV_TEXT(address_or_none(fold)));

	return read_one(s, level, &q, a, out, f);
}

void user_insert(struct write *w, const struct user *u, struct str fold)
{
	WRITE1(w, E_EMAIL_TAKEN,
	    "INSERT INTO user (id, email, email_fold, display_name, password_phc, password_changed_at,"
	    " email_verified_at, created_by, created_at, updated_at)"
	    " SELECT ?, ?, ?, ?, ?, ?, ?, ?, ?, ?"
	    " WHERE NOT EXISTS (SELECT 1 FROM user WHERE email_fold = ?)",
	    SV_ID(&u->id), SV_TEXT(u->email), SV_TEXT(fold), sv_text_or_null(u->display_name),
	    sv_text_or_null(u->phc), u->phc.p != NULL ? SV_INT(w->now) : SV_NULL,
	    sv_int_or_null(u->email_verified_at), u->has_creator ? SV_ID(&u->created_by) : SV_NULL,
	    SV_INT(w->now), SV_INT(w->now), SV_TEXT(fold));
	write_change_id(w, CHANGE_PRINCIPAL, &u->id);
}

void user_end_all(struct write *w, struct id id, const struct id *keep, enum session_end why)
{
	session_end_all(w, id, keep, why);
	mfa_challenge_end_all(w, id);
	oidc_handoff_end_all(w, id);
}

void user_update(struct write *w, struct id id, int64_t if_version, const struct user_patch *p)
{
	if (p->set_email) {
		WRITE1(w, E_EMAIL_TAKEN,
		    "UPDATE user SET email = ?, email_fold = ?, email_verified_at = CASE"
		    " WHEN email_fold = ? THEN email_verified_at ELSE NULL END WHERE id = ?"
		    " AND NOT EXISTS (SELECT 1 FROM user o WHERE o.email_fold = ? AND o.id <> ?)",
		    SV_TEXT(p->email), SV_TEXT(p->fold), SV_TEXT(p->fold), SV_ID(&id),
		    SV_TEXT(p->fold), SV_ID(&id));
		session_set_email(w, id, p->email);
	}
	WRITE1(w, if_version != 0 ? E_PRECONDITION_FAILED : E_NOT_FOUND,
	    "UPDATE user SET display_name = CASE WHEN ? THEN ? ELSE display_name END,"
	    " disabled = CASE WHEN ? THEN ? ELSE disabled END, version = version + 1, updated_at = ?"
	    " WHERE id = ? AND (? = 0 OR version = ?)",
	    SV_INT(p->set_display_name), sv_text_or_null(p->display_name), SV_INT(p->set_disabled),
	    SV_INT(p->disabled), SV_INT(w->now), SV_ID(&id), SV_INT(if_version), SV_INT(if_version));
	if (p->set_disabled && p->disabled) {
		user_end_all(w, id, NULL, SESSION_DISABLED);
		assignment_guard_admin(w);
	}
	if (p->set_email || (p->set_disabled && p->disabled))
		one_time_end_all(w, id);
	write_change_id(w, CHANGE_PRINCIPAL, &id);
}

void user_delete(struct write *w, struct id id, int64_t if_version)
{
	WRITE1(w, if_version != 0 ? E_PRECONDITION_FAILED : E_NOT_FOUND,
	    "DELETE FROM user WHERE id = ? AND (? = 0 OR version = ?)",
	    SV_ID(&id), SV_INT(if_version), SV_INT(if_version));
	session_delete_all(w, id);
	mfa_delete(w, id);
	identity_delete_all(w, id);
	assignment_delete_all(w, id);
	assignment_guard_admin(w);
	write_change_id(w, CHANGE_PRINCIPAL, &id);
}

void user_set_password(struct write *w, struct id id, struct str was, struct str phc,
    const struct id *keep)
{
	WRITE1(w, was.p != NULL ? E_INVALID_CREDENTIALS : E_NOT_FOUND,
	    "UPDATE user SET password_phc = ?, password_changed_at = ?, version = version + 1,"
	    " updated_at = ? WHERE id = ? AND (? IS NULL OR password_phc = ?)",
	    SV_TEXT(phc), SV_INT(w->now), SV_INT(w->now), SV_ID(&id), sv_text_or_null(was),
	    sv_text_or_null(was));
	user_end_all(w, id, keep, SESSION_PASSWORD);
	write_change_id(w, CHANGE_PRINCIPAL, &id);
}

/* What somebody may have made who had the account before its address was proved. */
static void drop_unproven(struct write *w, const struct user *u)
{
	user_end_all(w, u->id, NULL, SESSION_UNPROVEN);
	identity_delete_all(w, u->id);
}

void user_verify_email(struct write *w, const struct user *u)
{
	bool known = u->email_verified_at != 0;

	WRITE1(w, E_TOKEN_INVALID,
	    "UPDATE user SET email_verified_at = coalesce(email_verified_at, ?), version = version + 1,"
	    " updated_at = ? WHERE id = ? AND (email_verified_at IS NOT NULL) = ?",
	    SV_INT(w->now), SV_INT(w->now), SV_ID(&u->id), SV_INT(known));
	if (!known)
		drop_unproven(w, u);
}

void user_rehash_password(struct write *w, struct id id, struct str old_phc, struct str phc)
{
	WRITE(w, "UPDATE user SET password_phc = ? WHERE id = ? AND password_phc = ?",
	    SV_TEXT(phc), SV_ID(&id), SV_TEXT(old_phc));
}

enum err user_list(struct store *s, const struct user_filter *q, struct arena *a,
    struct user **out, size_t *n, struct fail *f)
{
	static const struct id zero;
	const struct id *after = q->after_set ? &q->after : &zero;
	struct store_stmt by_tenant = STMT(
	    "SELECT " COLUMNS " FROM assignment a CROSS JOIN user u ON u.id = a.principal"
	    " WHERE a.tenant = ? AND a.principal > ? AND (? = 0 OR u.disabled = 1)"
	    " GROUP BY a.principal ORDER BY a.principal LIMIT ?",
	    SV_TEXT(q->tenant), SV_ID(after), SV_INT(q->disabled_only), SV_INT(q->limit));
	struct store_stmt by_email = STMT("SELECT " COLUMNS " FROM user u WHERE u.email_fold = ?"
	    " AND u.id > ? AND (? = 0 OR u.disabled = 1) AND (? IS NULL OR EXISTS"
	    " (SELECT 1 FROM assignment a WHERE a.principal = u.id AND a.tenant = ?))",
	    SV_TEXT(q->email_fold), SV_ID(after), SV_INT(q->disabled_only),
	    sv_text_or_null(q->tenant), sv_text_or_null(q->tenant));
	struct store_stmt disabled = STMT("SELECT " COLUMNS " FROM user u WHERE u.disabled = 1"
	    " AND u.id > ? ORDER BY u.id LIMIT ?", SV_ID(after), SV_INT(q->limit));
	struct store_stmt all = STMT("SELECT " COLUMNS " FROM user u WHERE u.id > ?"
	    " ORDER BY u.id LIMIT ?", SV_ID(after), SV_INT(q->limit));
	const struct store_stmt *stmt = q->email_fold.p != NULL ? &by_email :
	    q->tenant.p != NULL ? &by_tenant : q->disabled_only ? &disabled : &all;

	return STORE_LIST(s, STORE_FRESH, stmt, a, from_row, out, n, f);
}
