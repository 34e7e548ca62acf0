#include "iam/role.h"

#include "base/buf.h"
#include "base/jsonw.h"
#include "iam/write.h"

#define GRANTS_TEXT_MAX (1u << 20)

bool role_id_is_valid(struct str id)
{
	if (id.n == 0 || id.n > ROLE_ID_MAX || memchr("._-", id.p[0], 3) != NULL)
		return false;
	for (size_t i = 0; i < id.n; i++) {
		char c = id.p[i];

		if (!(c >= 'a' && c <= 'z') && !(c >= '0' && c <= '9') && memchr("._-", c, 3) == NULL)
			return false;
	}
	return true;
}

/* All grants in one statement, however many: they travel as one JSON parameter. */
static void insert_grants(struct write *w, struct str role, const struct role_grant *g, size_t n)
{
	struct buf text;
	struct jsonw j;

	buf_init(&text, GRANTS_TEXT_MAX);
	j = jsonw_on(&text);
	jsonw_arr(&j);
	for (size_t i = 0; i < n; i++) {
		jsonw_arr(&j);
		jsonw_str(&j, g[i].right);
		jsonw_str(&j, g[i].resource);
		jsonw_arr_end(&j);
	}
	jsonw_arr_end(&j);
	if (buf_err(&text) != OK)
		w->err = buf_err(&text);
	else
		WRITE(w, "INSERT INTO role_grant (role, \"right\", resource)"
		    " SELECT DISTINCT ?, json_extract(value, '$[0]'), json_extract(value, '$[1]')"
		    " FROM json_each(?)",
		    SV_TEXT(role), SV_TEXT(buf_str(&text)));
	buf_release(&text);
}

void role_insert(struct write *w, const struct role_def *r)
{
	WRITE1(w, E_CONFLICT,
	    "INSERT INTO role (id, name, tenant, created_at, updated_at) SELECT ?, ?, ?, ?, ?"
	    " WHERE NOT EXISTS (SELECT 1 FROM role WHERE id = ?)",
	    SV_TEXT(r->id), SV_TEXT(r->name), sv_text_or_null(r->tenant), SV_INT(w->now),
	    SV_INT(w->now), SV_TEXT(r->id));
	WRITE1(w, E_INVALID_FIELD,
	    "UPDATE role SET built_in = 0 WHERE id = ? AND (tenant IS NULL"
	    " OR EXISTS (SELECT 1 FROM tenant t WHERE t.id = role.tenant))",
	    SV_TEXT(r->id));
	insert_grants(w, r->id, r->grants, r->n);
	write_change(w, CHANGE_ROLE, STR(""));
}

void role_update(struct write *w, struct str id, int64_t if_version, const struct role_patch *p)
{
	WRITE1(w, if_version != 0 ? E_PRECONDITION_FAILED : E_NOT_FOUND,
	    "UPDATE role SET name = CASE WHEN ? THEN ? ELSE name END, version = version + 1,"
	    " updated_at = ? WHERE id = ? AND (? = 0 OR version = ?)",
	    SV_INT(p->set_name), sv_text_or_null(p->name), SV_INT(w->now), SV_TEXT(id),
	    SV_INT(if_version), SV_INT(if_version));
	if (p->set_grants) {
		WRITE(w, "DELETE FROM role_grant WHERE role = ?", SV_TEXT(id));
		insert_grants(w, id, p->grants, p->n);
	}
	write_change(w, CHANGE_ROLE, STR(""));
}

void role_delete(struct write *w, struct str id, int64_t if_version)
{
	struct store_stmt unused = STMT("UPDATE assignment SET role = role WHERE id ="
	    " (SELECT id FROM assignment WHERE role = ? LIMIT 1)", SV_TEXT(id));

	WRITE1(w, if_version != 0 ? E_PRECONDITION_FAILED : E_NOT_FOUND,
	    "DELETE FROM role WHERE id = ? AND (? = 0 OR version = ?)",
	    SV_TEXT(id), SV_INT(if_version), SV_INT(if_version));
	unused.expect = 0;
	unused.otherwise = E_CONFLICT;
	write_add(w, &unused);
	WRITE(w, "DELETE FROM role_grant WHERE role = ?", SV_TEXT(id));
	write_change(w, CHANGE_ROLE, STR(""));
}
