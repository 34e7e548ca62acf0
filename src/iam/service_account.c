#include "iam/service_account.h"

#include "iam/assignment.h"
#include "iam/credential.h"
#include "iam/write.h"
#include "store/list.h"

#define COLUMNS "id, name, tenant, disabled, version, created_at, updated_at"

static void from_row(const struct store_rows *r, size_t i, void *item)
{
	*(struct service_account *)item = (struct service_account){
		.id = store_id(r, i, 0),
		.name = store_str(r, i, 1),
		.tenant = store_str(r, i, 2),
		.disabled = store_int(r, i, 3) != 0,
		.version = store_int(r, i, 4),
		.created_at = store_int(r, i, 5),
		.updated_at = store_int(r, i, 6),
	};
}

enum err service_account_by_id(struct store *s, struct id id, struct arena *a,
    struct service_account *out, struct fail *f)
{
	struct store_stmt q = STMT("SELECT " COLUMNS " FROM service_account WHERE id = ?", SV_ID(&id));

	return store_one(s, STORE_LINEAR, &q, a, from_row, "there is no such service account", out, f);
}

void service_account_insert(struct write *w, const struct service_account *sa)
{
	WRITE1(w, E_CONFLICT,
	    "INSERT INTO service_account (id, name, tenant, created_at, updated_at)"
	    " SELECT ?, ?, ?, ?, ? WHERE NOT EXISTS (SELECT 1 FROM service_account"
	    " WHERE coalesce(tenant, '*') = coalesce(?, '*') AND name = ?)",
	    SV_ID(&sa->id), SV_TEXT(sa->name), sv_text_or_null(sa->tenant), SV_INT(w->now),
	    SV_INT(w->now), sv_text_or_null(sa->tenant), SV_TEXT(sa->name));
	WRITE1(w, E_INVALID_FIELD,
	    "UPDATE service_account SET version = 1 WHERE id = ? AND (tenant IS NULL"
	    " OR EXISTS (SELECT 1 FROM tenant t WHERE t.id = service_account.tenant))",
	    SV_ID(&sa->id));
	write_change_id(w, CHANGE_PRINCIPAL, &sa->id);
}

void service_account_update(struct write *w, struct id id, int64_t if_version,
    const struct service_account_patch *p)
{
	WRITE1(w, if_version != 0 ? E_PRECONDITION_FAILED : E_NOT_FOUND,
	    "UPDATE service_account SET disabled = CASE WHEN ? THEN ? ELSE disabled END,"
	    " version = version + 1, updated_at = ? WHERE id = ? AND (? = 0 OR version = ?)",
	    SV_INT(p->set_disabled), SV_INT(p->disabled), SV_INT(w->now), SV_ID(&id),
	    SV_INT(if_version), SV_INT(if_version));
	if (p->set_name)
		WRITE1(w, E_CONFLICT,
		    "UPDATE service_account SET name = ? WHERE id = ? AND NOT EXISTS"
		    " (SELECT 1 FROM service_account o WHERE o.id <> service_account.id AND o.name = ?"
		    " AND coalesce(o.tenant, '*') = coalesce(service_account.tenant, '*'))",
		    SV_TEXT(p->name), SV_ID(&id), SV_TEXT(p->name));
	write_change_id(w, CHANGE_PRINCIPAL, &id);
}

void service_account_delete(struct write *w, struct id id, int64_t if_version)
{
	WRITE1(w, if_version != 0 ? E_PRECONDITION_FAILED : E_NOT_FOUND,
	    "DELETE FROM service_account WHERE id = ? AND (? = 0 OR version = ?)",
	    SV_ID(&id), SV_INT(if_version), SV_INT(if_version));
	credential_delete_all(w, id);
	assignment_delete_all(w, id);
	write_change_id(w, CHANGE_PRINCIPAL, &id);
}

enum err service_account_list(struct store *s, const struct service_account_filter *q,
    struct arena *a, struct service_account **out, size_t *n, struct fail *f)
{
	static const struct id zero;
	const struct id *after = q->after_set ? &q->after : &zero;
	struct store_stmt all = STMT("SELECT " COLUMNS " FROM service_account WHERE id > ?"
	    " ORDER BY id LIMIT ?", SV_ID(after), SV_INT(q->limit));
	struct store_stmt in_tenant = STMT("SELECT " COLUMNS " FROM service_account WHERE tenant = ?"
	    " AND id > ? ORDER BY id LIMIT ?", SV_TEXT(q->tenant), SV_ID(after), SV_INT(q->limit));

	return STORE_LIST(s, STORE_FRESH, q->tenant.p != NULL ? &in_tenant : &all, a, from_row, out, n, f);
}
