/* What a user is at OpenID providers: /v1/auth/identities for oneself, /admin/users/{id}/identities for
 * administrators. */
#include <stddef.h>

#include "api/bodies.h"
#include "api/commit.h"
#include "api/ctl.h"
#include "api/etag.h"
#include "api/handlers.h"
#include "api/identity_reply.h"
#include "api/letters.h"
#include "api/links.h"
#include "api/recent.h"
#include "api/resource.h"
#include "api/takeover.h"
#include "authn/oidc.h"
#include "base/clock.h"
#include "base/config.h"
#include "iam/credential.h"
#include "iam/email.h"
#include "iam/identity.h"
#include "iam/principal.h"
#include "iam/user.h"
#include "iam/write.h"

void identity_write(struct jsonw *w, const void *row)
{
	const struct user_identity *i = row;

	jsonw_obj(w);
	jsonw_kid(w, "id", i->id);
	jsonw_kid(w, "user", i->user);
	jsonw_kstr(w, "issuer", i->issuer);
	jsonw_kstr(w, "subject", i->subject);
	jsonw_kstr(w, "email", i->email);
	jsonw_ktime(w, "created_at", i->created_at);
	jsonw_ktime_or_null(w, "last_used_at", i->last_used_at);
	etag_write(w, RESOURCE_FIXED);
	jsonw_obj_end(w);
}

/* Whose sign-ins are taken now; .p NULL: nobody's. */
static struct str issuer_now(const struct ctl *c)
{
	return c->oidc != NULL ? oidc_issuer(c->oidc) : STR_NONE;
}

static enum err list_of(struct ctl *c, struct request *r, struct id user, const struct page *page,
    void **rows, size_t *n, struct fail *f)
{
	struct user_identity *i = NULL;
	enum err e = identity_list(c->store, user, page->has_id ? &page->id : NULL, page_limit(page),
	    &r->arena, &i, n, f);

	*rows = i;
	return e;
}

static enum err find_of(struct ctl *c, struct request *r, struct id user, struct str id, void *row,
    struct fail *f)
{
	struct id i;

	if (!id_parse(id, &i))
		return fail_set(f, E_NOT_FOUND, "there is no such identity");
	return identity_by_id(c->store, user, i, &r->arena, row, f);
}

/* The user is told; the letter leaves at the sender's next look. */
static enum err remove_and_tell(struct ctl *c, struct request *r, struct write *w,
    const struct user_identity *i, const struct id *keep, struct fail *f)
{
	struct user u;
	enum err e = user_by_id(c->store, STORE_LINEAR, i->user, &r->arena, &u, f);

	if (e != OK)
		return e;
	identity_delete(w, i, issuer_now(c), keep);
	links_identity_unlinked(c, w, &u);
	return OK;
}

/* ---- one's own ------------------------------------------------------------------------------ */

static enum err list_own(struct ctl *c, struct request *r, const struct page *page, void **rows,
    size_t *n, struct fail *f)
{
	return list_of(c, r, r->auth.principal->id, page, rows, n, f);
}

static enum err find_own(struct ctl *c, struct request *r, void *row, struct fail *f)
{
	return find_of(c, r, r->auth.principal->id, r->param[0], row, f);
}

static enum err remove_own(struct ctl *c, struct request *r, struct write *w, const void *row,
    struct fail *f)
{
	enum err e = need_recent_signin(r, f);

	return e == OK ? remove_and_tell(c, r, w, row, r->auth.has_session ? &r->auth.session : NULL, f) : e;
}

const struct resource own_identity_rows = {
	.size = sizeof(struct user_identity), .by = PAGE_BY_ID, .key = offsetof(struct user_identity, id),
	.write = identity_write, .find = find_own, .list = list_own, .remove = remove_own,
};

/* ---- those of others ------------------------------------------------------------------------- */

static enum err list_theirs(struct ctl *c, struct request *r, const struct page *page, void **rows,
    size_t *n, struct fail *f)
{
	struct user u;
	enum err e = user_of_path(c, r, &u, f);

	return e == OK ? list_of(c, r, u.id, page, rows, n, f) : e;
}

static enum err find_theirs(struct ctl *c, struct request *r, void *row, struct fail *f)
{
	struct user u;
	enum err e = user_of_path(c, r, &u, f);

	return e == OK ? find_of(c, r, u.id, r->param[1], row, f) : e;
}

static enum err remove_theirs(struct ctl *c, struct request *r, struct write *w, const void *row,
    struct fail *f)
{
	const struct user_identity *i = row;
	enum err e = refuse_takeover(c, r, i->user, w, f);

	return e == OK ? remove_and_tell(c, r, w, i, NULL, f) : e;
}

const struct resource identity_rows = {
	.size = sizeof(struct user_identity), .by = PAGE_BY_ID, .key = offsetof(struct user_identity, id),
	.write = identity_write, .find = find_theirs, .list = list_theirs, .remove = remove_theirs,
};

struct identity_create {
	struct body_str issuer, subject, email;
};
const struct body_field body_identity_create[] = {
	{ "issuer", BODY_T_STR, 0, offsetof(struct identity_create, issuer), 1, 2048 },
	{ "subject", BODY_T_STR, BODY_REQUIRED, offsetof(struct identity_create, subject), 1,
	  IDENTITY_SUBJECT_MAX },
	{ "email", BODY_T_STR, BODY_NULLABLE, offsetof(struct identity_create, email), 3, EMAIL_MAX,
	  .check = email_is_valid, .rule = "must be an e-mail address" },
	{ NULL },
};

/* The OpenID provider, or one of the issuers whose tokens are believed; the former when none is named. */
static bool issuer_known(const struct ctl *c, struct str named, struct str *issuer)
{
	const struct config_issuers *others = &c->config->issuers;

	if (named.p == NULL || (issuer->p != NULL && str_eq(named, *issuer)))
		return issuer->p != NULL;
	*issuer = named;
	for (size_t i = 0; i < others->n; i++)
		if (str_eqc(named, others->v[i].issuer))
			return true;
	return false;
}

/* Whoever is that subject can act as the user from then on. */
static enum err create_once(struct ctl *c, struct request *r, const struct user_identity *i,
    const struct user *u, struct fail *f)
{
	struct write w;
	enum err e;

	write_init(&w, &r->arena, i->created_at);
	e = refuse_takeover(c, r, i->user, &w, f);
	if (e != OK)
		return e;
	credential_guard_free(&w, i->user, i->issuer, i->subject);
	identity_insert(&w, i, STR_NONE);
	links_identity_linked(c, &w, u);
	return resource_create(c, r, &w, i, f);
}

enum err op_identity_create(struct ctl *c, struct request *r, struct fail *f)
{
	int64_t now = clock_wall();
	struct user_identity i = { .id = id_new(now), .issuer = issuer_now(c), .created_at = now };
	struct identity_create b;
	unsigned tries = 0;
	struct user u;
	enum err e = user_of_path(c, r, &u, f);

	if (e == OK)
		e = body_read(r, body_identity_create, &b, sizeof b, f);
	if (e != OK)
		return e;
	if (!issuer_known(c, b.issuer.v, &i.issuer))
		return body_invalid(f, "issuer", "is neither the OpenID provider nor one of the issuers that are "
		    "configured here");
	i.user = u.id;
	i.subject = b.subject.v;
	i.email = b.email.v;
	do {
		e = create_once(c, r, &i, &u, f);
	} while (etag_again(r, e, &tries, f));
	letters_poke(c);
	return e;
}
