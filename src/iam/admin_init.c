#include "iam/admin_init.h"

#include "base/buf.h"
#include "base/config.h"
#include "base/rnd.h"
#include "base/secret.h"
#include "crypto/password.h"
#include "crypto/password_policy.h"
#include "iam/assignment.h"
#include "iam/email.h"
#include "iam/user.h"
#include "iam/write.h"

#define ARENA_MAX (256u << 10)

static enum err hash(struct str password, struct str email, const struct config *c,
    char phc[PASSWORD_PHC_LEN], struct fail *f)
{
	struct password_params params = password_params_of(c);
	unsigned char salt[16];
	struct buf normal;
	enum err e;

	buf_init_secret(&normal, PASSWORD_BYTES);
	e = password_normalise(password, (unsigned)c->auth_password_min_length,
	    (unsigned)c->auth_password_max_length, &normal, f);
	if (e == OK)
		e = password_policy_check(buf_str(&normal), email, STR_NONE, f);
	rnd_bytes(salt, sizeof salt);
	if (e == OK)
		e = password_hash(buf_str(&normal), &params, salt, phc);
	buf_release(&normal);
	return e;
}

static enum err make(struct store *s, struct arena *a, struct user *u, struct str fold, int64_t now,
    bool dry_run, struct fail *f)
{
	struct assignment as = {
		.id = id_new(now), .principal = u->id, .tenant = STR("*"), .role = ROLE_PLATFORM_ADMIN,
	};
	struct write *w = arena_alloc(a, sizeof *w);
	enum err e;

	if (w == NULL)
		return E_NOMEM;
	write_init(w, a, now);
	assignment_guard_no_admin(w);
	user_insert(w, u, fold);
	assignment_insert(w, &as, true);
	if (dry_run) /* a guard that nothing passes: the batch gets so far, and is taken back */
		WRITE1(w, E_GUARD, "UPDATE user SET version = version WHERE 0");
	e = write_run(w, s, f);
	if (dry_run && e == E_GUARD) {
		fail_clear(f);
		return OK;
	}
	return e == E_CONFLICT ? fail_set(f, e, "there is a platform admin already") : e;
}

enum err iam_admin_init(struct store *s, struct str email, struct str password,
    const struct config *c, int64_t now, bool dry_run, struct id *user, struct fail *f)
{
	char phc[PASSWORD_PHC_LEN];
	struct user u = { .id = id_new(now), .email = email, .email_verified_at = now };
	struct str fold;
	struct arena a;
	enum err e;

	arena_init(&a, ARENA_MAX);
	e = email_fold(email, &a, &fold);
	if (e == E_INVALID_FIELD)
		fail_set(f, e, "'%.*s' is not an e-mail address", STR_ARG(email));
	if (e == OK)
		e = hash(password, email, c, phc, f);
	if (e == OK) {
		u.phc = str_c(phc);
		e = make(s, &a, &u, fold, now, dry_run, f);
	}
	secret_wipe(phc, sizeof phc);
	arena_release(&a);
	*user = u.id;
	return e;
}
