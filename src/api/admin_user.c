/* /admin/users */
#include <stddef.h>

#include "api/bodies.h"
#include "api/commit.h"
#include "api/ctl.h"
#include "api/etag.h"
#include "api/handlers.h"
#include "api/new_password.h"
#include "api/owner.h"
#include "api/resource.h"
#include "api/takeover.h"
#include "api/user_reply.h"
#include "base/clock.h"
#include "iam/email.h"
#include "iam/one_time.h"
#include "iam/principal.h"
#include "iam/session.h"
#include "iam/user.h"
#include "iam/write.h"

static void write_row(struct jsonw *w, const void *row)
{
	user_write(w, row);
}

enum err user_of_path(struct ctl *c, struct request *r, struct user *u, struct fail *f)
{
	struct id id;

	if (!id_parse(r->param[0], &id))
		return fail_set(f, E_NOT_FOUND, "there is no such user");
	return user_by_id(c->store, STORE_LINEAR, id, &r->arena, u, f);
}

/* ---- reading -------------------------------------------------------------------------------- */

/* page_size, page_token, tenant, email, disabled (only "true" narrows). *nobody: an address that no
 * user can have. */
static enum err filter_of(struct request *r, const struct page *page, struct user_filter *q,
    bool *nobody, struct fail *f)
{
	struct str email = request_query(r, "email"), disabled = request_query(r, "disabled");

	*q = (struct user_filter){ .tenant = request_query(r, "tenant"), .after_set = page->has_id,
		.after = page->id, .limit = page_limit(page) };
	if (email.p != NULL)
		*nobody = email_fold(email, &r->arena, &q->email_fold) != OK;
	if (disabled.p != NULL && !str_eq(disabled, STR("true")))
		return fail_set(f, E_INVALID_PARAMETER, "disabled must be true, or left out");
	q->disabled_only = disabled.p != NULL;
	return OK;
}

static enum err list(struct ctl *c, struct request *r, const struct page *page, void **rows,
    size_t *n, struct fail *f)
{
	struct user_filter q;
	struct user *u = NULL;
	bool nobody = false;
	enum err e = filter_of(r, page, &q, &nobody, f);

	if (e == OK && !nobody)
		e = user_list(c->store, &q, &r->arena, &u, n, f);
	*rows = u;
	return e;
}

static enum err find(struct ctl *c, struct request *r, void *row, struct fail *f)
{
	return user_of_path(c, r, row, f);
}

static enum err take_away(struct ctl *c, struct request *r, struct write *w, const void *row,
    struct fail *f)
{
	const struct user *u = row;

	(void)c, (void)r, (void)f;
	user_delete(w, u->id, u->version);
	return OK;
}

/* ---- creating ------------------------------------------------------------------------------- */

struct user_create {
	struct body_str email, password, display_name;
};
const struct body_field body_user_create[] = {
	{ "email", BODY_T_STR, BODY_REQUIRED, offsetof(struct user_create, email), 3, EMAIL_MAX,
	  .check = email_is_valid, .rule = "must be an e-mail address" },
	{ "password", BODY_T_STR, BODY_SECRET, offsetof(struct user_create, password), 1, PASSWORD_GIVEN },
	{ "display_name", BODY_T_STR, BODY_NULLABLE, offsetof(struct user_create, display_name), 0,
	  USER_NAME_MAX },
	{ NULL },
};

enum err op_user_create(struct ctl *c, struct request *r, struct fail *f)
{
	char phc[PASSWORD_PHC_LEN];
	int64_t now = clock_wall();
	struct user u = { .id = id_new(now), .version = 1, .created_at = now, .updated_at = now,
		.has_creator = true, .created_by = r->auth.principal->id };
	struct user_create b;
	struct str fold;
	struct write w;
	enum err e = body_read(r, body_user_create, &b, sizeof b, f);

	if (e != OK)
		return e;
	u.email = b.email.v;
	u.display_name = b.display_name.v;
	e = email_fold(u.email, &r->arena, &fold);
	if (e != OK)
		return fail_code(f, e);
	if (b.password.set) {
		e = new_password_hash(c, b.password.v, u.email, u.display_name, phc, f);
		if (e != OK)
			return e;
		u.phc = str_c(phc);
	}
	write_init(&w, &r->arena, now);
	user_insert(&w, &u, fold);
	return resource_create(c, r, &w, &u, f);
}

/* ---- changing ------------------------------------------------------------------------------- */

struct user_change {
	struct body_bool disabled;
	struct body_str display_name, email;
};
const struct body_field body_user_patch[] = {
	{ "disabled", BODY_T_BOOL, 0, offsetof(struct user_change, disabled) },
	{ "display_name", BODY_T_STR, BODY_NULLABLE, offsetof(struct user_change, display_name), 0,
	  USER_NAME_MAX },
	{ "email", BODY_T_STR, 0, offsetof(struct user_change, email), 3, EMAIL_MAX,
	  .check = email_is_valid, .rule = "must be an e-mail address" },
	{ NULL },
};

/* Another address is not verified; the same one in other letters still is. */
static enum err apply_email(struct request *r, struct user *u, struct user_patch *p)
{
	struct str was;
	enum err e = email_fold(u->email, &r->arena, &was);

	if (e == OK)
		e = email_fold(p->email, &r->arena, &p->fold);
	if (e != OK)
		return e;
	if (!str_eq(was, p->fold))
		u->email_verified_at = 0;
	u->email = p->email;
	return OK;
}

/* What the user looks like when the patch has been applied. */
static enum err apply_patch(struct request *r, const struct user_change *b, int64_t now,
    struct user *u, struct user_patch *p)
{
	*p = (struct user_patch){
		.set_disabled = b->disabled.set, .disabled = b->disabled.v,
		.set_display_name = b->display_name.set, .display_name = b->display_name.v,
		.set_email = b->email.set, .email = b->email.v,
	};
	if (p->set_disabled)
		u->disabled = p->disabled;
	if (p->set_display_name)
		u->display_name = p->display_name;
	u->version++;
	u->updated_at = now;
	return p->set_email ? apply_email(r, u, p) : OK;
}

static enum err edit(struct ctl *c, struct request *r, struct write *w, void *row, const void *change,
    struct fail *f)
{
	const struct user_change *b = change;
	struct user *u = row;
	struct user_patch p;
	enum err e = b->email.set ? refuse_takeover(c, r, u->id, w, f) : OK;

	if (e != OK)
		return e;
	e = apply_patch(r, b, w->now, u, &p);
	if (e != OK)
		return fail_code(f, e);
	user_update(w, u->id, u->version - 1, &p);
	return OK;
}

const struct resource user_rows = {
	.size = sizeof(struct user), .by = PAGE_BY_ID, .key = offsetof(struct user, id),
	.version = offsetof(struct user, version),
	.write = write_row, .find = find, .list = list, .remove = take_away,
	.change = body_user_patch, .change_size = sizeof(struct user_change), .edit = edit,
};

/* ---- password and sessions ------------------------------------------------------------------ */

struct user_password {
	struct body_str password;
};
const struct body_field body_user_password[] = {
	{ "password", BODY_T_STR, BODY_REQUIRED | BODY_SECRET, offsetof(struct user_password, password),
	  1, PASSWORD_GIVEN },
	{ NULL },
};

/* phc: "" until the password was hashed. */
static enum err set_once(struct ctl *c, struct request *r, const struct user *u, struct str password,
    char phc[PASSWORD_PHC_LEN], struct fail *f)
{
	struct write w;
	enum err e;

	write_init(&w, &r->arena, clock_wall());
	e = refuse_takeover(c, r, u->id, &w, f);
	if (e == OK && phc[0] == '\0')
		e = new_password_hash(c, password, u->email, u->display_name, phc, f);
	if (e != OK)
		return e;
	user_set_password(&w, u->id, STR_NONE, str_c(phc), NULL);
	one_time_end_all(&w, u->id);
	owner_gets_password(c, r, &w, u->email);
	return commit(c, r, &w, f);
}

enum err op_user_password(struct ctl *c, struct request *r, struct fail *f)
{
	char phc[PASSWORD_PHC_LEN] = "";
	struct user_password b;
	unsigned tries = 0;
	struct user u;
	enum err e = body_read(r, body_user_password, &b, sizeof b, f);

	if (e == OK)
		e = user_of_path(c, r, &u, f);
	if (e == OK)
		e = etag_check(r, u.version, f);
	if (e != OK)
		return e;
	do {
		e = set_once(c, r, &u, b.password.v, phc, f);
	} while (etag_again(r, e, &tries, f));
	return e;
}

static enum err list_sessions(struct ctl *c, struct request *r, const struct page *page, void **rows,
    size_t *n, struct fail *f)
{
	struct user u;
	enum err e = user_of_path(c, r, &u, f);

	return e == OK ? session_rows_of(c, r, u.id, page, rows, n, f) : e;
}

const struct resource user_session_rows = {
	.size = sizeof(struct session), .by = PAGE_BY_ID, .key = offsetof(struct session, id),
	.write = session_write, .list = list_sessions,
};

enum err op_user_sessions_end(struct ctl *c, struct request *r, struct fail *f)
{
	struct write w;
	struct user u;
	enum err e = user_of_path(c, r, &u, f);

	if (e != OK)
		return e;
	write_init(&w, &r->arena, clock_wall());
	user_end_all(&w, u.id, NULL, SESSION_ADMIN);
	return commit(c, r, &w, f);
}
