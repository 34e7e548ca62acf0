#include "iam/tenant.h"

#include "iam/assignment.h"
#include "iam/write.h"
#include "store/list.h"

#define COLUMNS "id, name, version, created_at, updated_at, disabled"

bool tenant_id_is_valid(struct str id)
{
	if (id.n == 0 || id.n > TENANT_ID_MAX || id.p[0] == '-')
		return false;
	for (size_t i = 0; i < id.n; i++) {
		char c = id.p[i];

		if (!(c >= 'a' && c <= 'z') && !(c >= '0' && c <= '9') && c != '-')
			return false;
	}
	return true;
}

static void from_row(const struct store_rows *r, size_t i, void *item)
{
	*(struct tenant *)item = (struct tenant){
		.id = store_str(r, i, 0),
		.name = store_str(r, i, 1),
		.version = store_int(r, i, 2),
		.created_at = store_int(r, i, 3),
		.updated_at = store_int(r, i, 4),
		.disabled = store_int(r, i, 5) != 0,
	};
}

enum err tenant_by_id(struct store *s, enum store_level level, struct str id, struct arena *a,
    struct tenant *out, struct fail *f)
{
	struct store_stmt q = STMT("SELECT " COLUMNS " FROM tenant WHERE id = ?", SV_TEXT(id));

	return store_one(s, level, &q, a, from_row, "there is no such tenant", out, f);
}

void tenant_insert(struct write *w, struct str id, struct str name)
{
	WRITE1(w, E_CONFLICT,
	    "INSERT INTO tenant (id, name, created_at, updated_at) SELECT ?, ?, ?, ?"
	    " WHERE NOT EXISTS (SELECT 1 FROM tenant WHERE id = ?)",
	    SV_TEXT(id), SV_TEXT(name), SV_INT(w->now), SV_INT(w->now), SV_TEXT(id));
	write_change(w, CHANGE_TENANT, id);
}

void tenant_update(struct write *w, struct str id, int64_t if_version, const struct tenant_patch *p)
{
	WRITE1(w, if_version != 0 ? E_PRECONDITION_FAILED : E_NOT_FOUND,
	    "UPDATE tenant SET name = coalesce(?, name), disabled = CASE WHEN ? THEN ? ELSE disabled END,"
	    " version = version + 1, updated_at = ? WHERE id = ? AND (? = 0 OR version = ?)",
	    sv_text_or_null(p->name), SV_INT(p->set_disabled), SV_INT(p->disabled), SV_INT(w->now),
	    SV_TEXT(id), SV_INT(if_version), SV_INT(if_version));
	write_change(w, CHANGE_TENANT, id);
}

/* No role and no service account belongs to it. Touches no row; must touch none. */
static void guard_empty(struct write *w, struct str id)
{
	struct store_stmt s = STMT("UPDATE role SET version = version WHERE id ="
	    " (SELECT id FROM role WHERE tenant = ? LIMIT 1)", SV_TEXT(id));
	struct store_stmt a = STMT("UPDATE service_account SET version = version WHERE id ="
	    " (SELECT id FROM service_account WHERE tenant = ? LIMIT 1)", SV_TEXT(id));

	s.expect = a.expect = 0;
	s.otherwise = a.otherwise = E_CONFLICT;
	write_add(w, &s);
	write_add(w, &a);
}

void tenant_delete(struct write *w, struct str id, int64_t if_version)
{
	WRITE1(w, if_version != 0 ? E_PRECONDITION_FAILED : E_NOT_FOUND,
	    "DELETE FROM tenant WHERE id = ? AND (? = 0 OR version = ?)",
	    SV_TEXT(id), SV_INT(if_version), SV_INT(if_version));
	guard_empty(w, id);
	assignment_delete_tenant(w, id);
	write_change(w, CHANGE_TENANT, id);
}

static void id_of_row(const struct store_rows *r, size_t i, void *item)
{
	*(struct str *)item = store_str(r, i, 0);
}

enum err tenant_list_disabled(struct store *s, struct arena *a, struct str **out, size_t *n,
    struct fail *f)
{
	struct store_stmt q = STMT("SELECT id FROM tenant WHERE disabled = 1 ORDER BY id");

	return STORE_LIST(s, STORE_LINEAR, &q, a, id_of_row, out, n, f);
}

enum err tenant_list(struct store *s, struct str after, int64_t limit, struct arena *a,
    struct tenant **out, size_t *n, struct fail *f)
{
	struct store_stmt q = STMT("SELECT " COLUMNS " FROM tenant WHERE id > ? ORDER BY id LIMIT ?",
	    SV_TEXT(after.p != NULL ? after : STR("")), SV_INT(limit));

	return STORE_LIST(s, STORE_FRESH, &q, a, from_row, out, n, f);
}
