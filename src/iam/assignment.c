#include "iam/assignment.h"

#include "iam/tenant.h"
#include "iam/write.h"
#include "store/list.h"

#define COLUMNS "id, principal, tenant, role, created_by, created_at"

static void from_row(const struct store_rows *r, size_t i, void *item)
{
	*(struct assignment *)item = (struct assignment){
		.id = store_id(r, i, 0),
		.principal = store_id(r, i, 1),
		.tenant = store_str(r, i, 2),
		.role = store_str(r, i, 3),
		.has_creator = !store_is_null(r, i, 4),
		.created_by = store_id(r, i, 4),
		.created_at = store_int(r, i, 5),
	};
}

enum err assignment_by_id(struct store *s, struct id id, struct arena *a, struct assignment *out,
    struct fail *f)
{
	struct store_stmt q = STMT("SELECT " COLUMNS " FROM assignment WHERE id = ?", SV_ID(&id));

	return store_one(s, STORE_LINEAR, &q, a, from_row, "there is no such assignment", out, f);
}

void assignment_insert(struct write *w, const struct assignment *as, bool built_in)
{
	WRITE1(w, E_CONFLICT,
	    "INSERT INTO assignment (id, principal, tenant, role, created_by, created_at)"
	    " SELECT ?, ?, ?, ?, ?, ? WHERE NOT EXISTS"
	    " (SELECT 1 FROM assignment WHERE principal = ? AND tenant = ? AND role = ?)",
	    SV_ID(&as->id), SV_ID(&as->principal), SV_TEXT(as->tenant), SV_TEXT(as->role),
	    as->has_creator ? SV_ID(&as->created_by) : SV_NULL, SV_INT(w->now),
	    SV_ID(&as->principal), SV_TEXT(as->tenant), SV_TEXT(as->role));
	/* touches the new row alone, and only when all that it names is there */
	WRITE1(w, E_INVALID_FIELD,
	    "UPDATE assignment SET created_at = ? WHERE id = ?"
	    " AND (EXISTS (SELECT 1 FROM user u WHERE u.id = assignment.principal)"
	    " OR EXISTS (SELECT 1 FROM service_account sa WHERE sa.id = assignment.principal))"
	    " AND (tenant = '*' OR EXISTS (SELECT 1 FROM tenant t WHERE t.id = assignment.tenant))"
	    " AND (? OR EXISTS (SELECT 1 FROM role r WHERE r.id = assignment.role"
	    " AND (r.tenant IS NULL OR r.tenant = assignment.tenant)))",
	    SV_INT(w->now), SV_ID(&as->id), SV_INT(built_in));
	write_change_id(w, CHANGE_PRINCIPAL, &as->principal);
}

void assignment_delete(struct write *w, const struct assignment *as)
{
	WRITE1(w, E_NOT_FOUND, "DELETE FROM assignment WHERE id = ?", SV_ID(&as->id));
	if (str_eq(as->tenant, TENANT_EVERY) && str_eq(as->role, ROLE_PLATFORM_ADMIN))
		assignment_guard_admin(w);
	write_change_id(w, CHANGE_PRINCIPAL, &as->principal);
}

void assignment_delete_all(struct write *w, struct id principal)
{
	WRITE(w, "DELETE FROM assignment WHERE principal = ?", SV_ID(&principal));
}

void assignment_delete_tenant(struct write *w, struct str tenant)
{
	WRITE(w, "INSERT INTO change (kind, key, at) SELECT 'principal', principal, ? FROM assignment"
	    " WHERE tenant = ? GROUP BY principal", SV_INT(w->now), SV_TEXT(tenant));
	WRITE(w, "DELETE FROM assignment WHERE tenant = ?", SV_TEXT(tenant));
	w->changes = true;
}

void assignment_guard_admin(struct write *w)
{
	WRITE1(w, E_LAST_ADMIN,
	    "UPDATE assignment SET created_at = created_at WHERE id = (SELECT a.id FROM assignment a"
	    " JOIN user u ON u.id = a.principal AND u.disabled = 0"
	    " WHERE a.tenant = '*' AND a.role = 'platform-admin' LIMIT 1)");
}

void assignment_guard_no_admin(struct write *w)
{
	struct store_stmt s = STMT(
	    "UPDATE assignment SET created_at = created_at WHERE id = (SELECT a.id FROM assignment a"
	    " JOIN user u ON u.id = a.principal AND u.disabled = 0"
	    " WHERE a.tenant = '*' AND a.role = 'platform-admin' LIMIT 1)");

	s.expect = 0;
	s.otherwise = E_CONFLICT;
	write_add(w, &s);
}

enum err assignment_list(struct store *s, const struct assignment_filter *q, struct arena *a,
    struct assignment **out, size_t *n, struct fail *f)
{
	static const struct id zero;
	struct store_val after = SV_ID(q->after_set ? &q->after : &zero), limit = SV_INT(q->limit);
	struct store_val tenant = sv_text_or_null(q->tenant), role = sv_text_or_null(q->role);
	/* each form walks one index in the order of ids */
	struct store_stmt by_principal = STMT("SELECT " COLUMNS " FROM assignment"
	    " WHERE principal = ? AND id > ? AND (? IS NULL OR tenant = ?) AND (? IS NULL OR role = ?)"
	    " ORDER BY id LIMIT ?", SV_ID(&q->principal), after, tenant, tenant, role, role, limit);
	struct store_stmt by_both = STMT("SELECT " COLUMNS " FROM assignment"
	    " WHERE role = ? AND tenant = ? AND id > ? ORDER BY id LIMIT ?", role, tenant, after, limit);
	struct store_stmt by_tenant = STMT("SELECT " COLUMNS " FROM assignment"
	    " WHERE tenant = ? AND id > ? ORDER BY id LIMIT ?", tenant, after, limit);
	struct store_stmt by_role = STMT("SELECT " COLUMNS " FROM assignment"
	    " WHERE role = ? AND id > ? ORDER BY id LIMIT ?", role, after, limit);
	struct store_stmt all = STMT("SELECT " COLUMNS " FROM assignment"
	    " WHERE id > ? ORDER BY id LIMIT ?", after, limit);
	const struct store_stmt *stmt = q->by_principal ? &by_principal :
	    q->tenant.p != NULL && q->role.p != NULL ? &by_both : q->tenant.p != NULL ? &by_tenant :
	    q->role.p != NULL ? &by_role : &all;

	return STORE_LIST(s, STORE_FRESH, stmt, a, from_row, out, n, f);
}

enum err assignment_tenants(struct store *s, struct id principal, size_t max, struct arena *a,
    struct str *out, size_t *n, struct fail *f)
{
	struct store_stmt q = STMT("SELECT DISTINCT tenant FROM assignment WHERE principal = ?"
	    " ORDER BY tenant LIMIT ?", SV_ID(&principal), SV_INT((int64_t)max + 1));
	struct store_rows rows;
	enum err e = store_read(s, STORE_LINEAR, &q, 1, a, &rows, f);

	if (e != OK)
		return e;
	for (size_t i = 0; i < rows.nrows && i < max; i++)
		out[i] = store_str(&rows, i, 0);
	*n = rows.nrows;
	return OK;
}
