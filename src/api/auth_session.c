/* A user's own sessions and password. */
#include <stddef.h>

#include "api/bodies.h"
#include "api/commit.h"
#include "api/ctl.h"
#include "api/handlers.h"
#include "api/letters.h"
#include "api/links.h"
#include "api/new_password.h"
#include "api/owner.h"
#include "api/resource.h"
#include "api/user_reply.h"
#include "base/clock.h"
#include "iam/email.h"
#include "iam/one_time.h"
#include "iam/principal.h"
#include "iam/session.h"
#include "iam/throttle.h"
#include "iam/user.h"
#include "iam/write.h"

enum err session_rows_of(struct ctl *c, struct request *r, struct id user, const struct page *page,
    void **rows, size_t *n, struct fail *f)
{
	struct session_filter q = { .principal = user, .now = clock_wall(), .after_set = page->has_id,
		.after = page->id, .limit = page_limit(page) };
	struct session *s = NULL;
	enum err e = session_list(c->store, &q, &r->arena, &s, n, f);

	for (size_t i = 0; i < *n; i++)
		s[i].current = r->auth.has_session && id_eq(r->auth.session, s[i].id);
	*rows = s;
	return e;
}

static enum err list_own(struct ctl *c, struct request *r, const struct page *page, void **rows,
    size_t *n, struct fail *f)
{
	return session_rows_of(c, r, r->auth.principal->id, page, rows, n, f);
}

const struct resource own_session_rows = {
	.size = sizeof(struct session), .by = PAGE_BY_ID, .key = offsetof(struct session, id),
	.write = session_write, .list = list_own,
};

enum err op_auth_session_end(struct ctl *c, struct request *r, struct fail *f)
{
	struct write w;
	struct id id;

	if (!id_parse(r->param[0], &id))
		return fail_set(f, E_NOT_FOUND, "there is no such session");
	write_init(&w, &r->arena, clock_wall());
	session_end(&w, id, r->auth.principal->id, SESSION_SIGNOUT);
	return commit(c, r, &w, f);
}

struct change_password {
	struct body_str current_password, new_password;
};
const struct body_field body_change_password[] = {
	{ "current_password", BODY_T_STR, BODY_REQUIRED | BODY_SECRET,
	  offsetof(struct change_password, current_password), 1, PASSWORD_GIVEN },
	{ "new_password", BODY_T_STR, BODY_REQUIRED | BODY_SECRET,
	  offsetof(struct change_password, new_password), 1, PASSWORD_GIVEN },
	{ NULL },
};

/* A stolen session must not be enough to try passwords with. */
static enum err check_current(struct ctl *c, struct request *r, const struct user *u, struct str given,
    struct fail *f)
{
	struct throttle_who who;
	struct throttle_try y;
	struct str fold;
	enum err e = email_fold(u->email, &r->arena, &fold);

	if (e != OK)
		return fail_code(f, e);
	who = throttle_who(r, fold);
	e = throttle_begin(c->throttle, THROTTLE_SIGNIN, &who, &y, f);
	if (e != OK)
		return e;
	return throttle_settle(&y, password_check(c, given, u->phc, NULL, f), f);
}

enum err op_auth_password(struct ctl *c, struct request *r, struct fail *f)
{
	struct id user = r->auth.principal->id;
	char phc[PASSWORD_PHC_LEN];
	struct change_password b;
	struct write w;
	struct user u;
	enum err e = body_read(r, body_change_password, &b, sizeof b, f);

	if (e == OK)
		e = user_by_id(c->store, STORE_LINEAR, user, &r->arena, &u, f);
	if (e == OK)
		e = check_current(c, r, &u, b.current_password.v, f);
	if (e == OK)
		e = new_password_hash(c, b.new_password.v, u.email, u.display_name, phc, f);
	if (e != OK)
		return e;
	write_init(&w, &r->arena, clock_wall());
	user_set_password(&w, user, u.phc, str_c(phc), r->auth.has_session ? &r->auth.session : NULL);
	one_time_end_all(&w, user);
	owner_sets_password(c, r, &w, u.email);
	links_password_changed(c, &w, &u);
	e = commit(c, r, &w, f);
	if (e == OK)
		letters_poke(c);
	return e;
}
