/* POST /admin/users:import: users of elsewhere with their password hashes. Each item is answered on its
 * own, in order, as in a batch; those that are good are made in one write. For platform administrators
 * alone: who may call an address verified could otherwise lie in wait for its owner's sign-in. */
#include <jansson.h>
#include <stddef.h>
#include <stdio.h>

#include "api/bodies.h"
#include "api/commit.h"
#include "api/ctl.h"
#include "api/handlers.h"
#include "base/clock.h"
#include "crypto/password.h"
#include "iam/email.h"
#include "iam/principal.h"
#include "iam/user.h"
#include "iam/user_import.h"
#include "iam/write.h"

#define TRIES 8
#define HASH_MAX 512 /* bytes of a hash as text */

struct users_import {
	struct body_json items;
	struct body_bool dry_run;
};
const struct body_field body_users_import[] = {
	{ "items", BODY_T_ARRAY, BODY_REQUIRED | BODY_SECRET, offsetof(struct users_import, items), 1,
	  USER_IMPORT_MAX },
	{ "dry_run", BODY_T_BOOL, 0, offsetof(struct users_import, dry_run) },
	{ NULL },
};

struct imported_user {
	struct body_str email, password_hash, display_name;
	struct body_bool email_verified, disabled;
};
const struct body_field body_imported_user[] = {
	{ "email", BODY_T_STR, BODY_REQUIRED, offsetof(struct imported_user, email), 3, EMAIL_MAX,
	  .check = email_is_valid, .rule = "must be an e-mail address" },
	{ "password_hash", BODY_T_STR, BODY_NULLABLE, offsetof(struct imported_user, password_hash), 1,
	  HASH_MAX },
	{ "display_name", BODY_T_STR, BODY_NULLABLE, offsetof(struct imported_user, display_name), 0,
	  USER_NAME_MAX },
	{ "email_verified", BODY_T_BOOL, 0, offsetof(struct imported_user, email_verified) },
	{ "disabled", BODY_T_BOOL, 0, offsetof(struct imported_user, disabled) },
	{ NULL },
};

/* One item of the request: a user, or why it is none. */
struct item {
	struct user_import u;
	struct fail fault; /* .err OK: well-formed */
};

struct list {
	size_t n, good;
	struct item *item;
	struct user_import **user; /* the good ones */
};

static enum err check_hash(struct str hash, struct fail *f)
{
	struct fail why = { 0 };
	enum err e = hash.p != NULL ? password_hash_check(hash, &why) : OK;

	return e == OK ? OK : body_invalid(f, "password_hash", why.text);
}

/* E_NOMEM, or what is wrong with the item. */
static enum err read_user(struct request *r, json_t *o, int64_t now, struct user_import *u,
    struct fail *f)
{
	struct imported_user b;
	enum err e = body_object(o, body_imported_user, "", &b, sizeof b, f);

	if (e == OK)
		e = check_hash(b.password_hash.v, f);
	if (e != OK)
		return e;
	u->id = id_new(now);
	u->email = b.email.v;
	u->phc = b.password_hash.v;
	u->display_name = b.display_name.v;
	u->verified = b.email_verified.v;
	u->disabled = b.disabled.v;
	e = email_fold(u->email, &r->arena, &u->fold);
	return e == OK ? OK : fail_code(f, e);
}

static void release_details(void *arg)
{
	struct list *l = arg;

	for (size_t i = 0; i < l->n; i++)
		fail_clear(&l->item[i].fault);
}

static enum err read_list(struct request *r, const json_t *items, struct list *l, struct fail *f)
{
	size_t n = json_array_size(items);
	int64_t now = clock_wall();
	enum err e;

	l->item = arena_zalloc(&r->arena, n * sizeof *l->item);
	l->user = arena_alloc(&r->arena, n * sizeof *l->user);
	if (l->item == NULL || l->user == NULL || request_on_finish(r, release_details, l) != OK)
		return fail_code(f, E_NOMEM);
	for (; l->n < n; l->n++) {
		struct item *it = &l->item[l->n];

		it->u.place = l->n;
		e = read_user(r, json_array_get(items, l->n), now, &it->u, &it->fault);
		if (e == E_NOMEM)
			return fail_code(f, e);
		if (e == OK)
			l->user[l->good++] = &it->u;
	}
	return OK;
}

/* ---- the answer ----------------------------------------------------------------------------- */

static void write_fault(struct jsonw *w, enum err e, const char *text)
{
	jsonw_kint(w, "status", err_info(e)->http);
	jsonw_kz(w, "code", err_code(e));
	jsonw_kz(w, "error", text);
}

static void write_result(struct jsonw *w, const struct item *it)
{
	jsonw_obj(w);
	if (it->fault.err != OK) {
		write_fault(w, it->fault.err, fail_text(&it->fault));
	} else if (it->u.state == USER_IMPORT_TAKEN) {
		write_fault(w, E_EMAIL_TAKEN, err_info(E_EMAIL_TAKEN)->text);
	} else {
		jsonw_kint(w, "status", it->u.state == USER_IMPORT_NEW ? 201 : 200);
		jsonw_kid(w, "id", it->u.id);
	}
	jsonw_obj_end(w);
}

static void reply(struct request *r, const struct list *l)
{
	struct jsonw w = request_json(r, 200);

	jsonw_obj(&w);
	jsonw_key(&w, "results");
	jsonw_arr(&w);
	for (size_t i = 0; i < l->n; i++)
		write_result(&w, &l->item[i]);
	jsonw_arr_end(&w);
	jsonw_obj_end(&w);
}

static enum err import_once(struct ctl *c, struct request *r, const struct list *l, bool dry_run,
    struct fail *f)
{
	struct write w;
	enum err e = user_import_look(c->store, l->user, l->good, &r->arena, f);

	if (e != OK)
		return e;
	reply(r, l);
	if (dry_run) {
		r->audited = true; /* nothing happened */
		return OK;
	}
	write_init(&w, &r->arena, clock_wall());
	user_import_insert(&w, l->user, l->good, r->auth.principal->id);
	return commit(c, r, &w, f);
}

enum err op_users_import(struct ctl *c, struct request *r, struct fail *f)
{
	struct list *l = arena_zalloc(&r->arena, sizeof *l);
	struct users_import b;
	enum err e = body_read(r, body_users_import, &b, sizeof b, f);

	if (e == OK && l == NULL)
		e = fail_code(f, E_NOMEM);
	if (e == OK)
		e = read_list(r, b.items.v, l, f);
	if (e != OK)
		return e;
	/* E_EMAIL_TAKEN: somebody was faster with one of the addresses; look again */
	for (int i = 0; i < TRIES; i++) {
		fail_clear(f);
		e = import_once(c, r, l, b.dry_run.v, f);
		if (e != E_EMAIL_TAKEN)
			break;
	}
	return e;
}
