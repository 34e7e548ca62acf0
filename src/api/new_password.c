#include "api/new_password.h"

#include "api/ctl.h"
#include "base/buf.h"
#include "base/config.h"
#include "crypto/hasher.h"
#include "crypto/password_policy.h"

enum err new_password_hash(struct ctl *c, struct str password, struct str email, struct str name,
    char phc[PASSWORD_PHC_LEN], struct fail *f)
{
	const struct config *config = c->config;
	struct buf plain;
	enum err e;

	buf_init_secret(&plain, PASSWORD_BYTES);
	e = password_normalise(password, (unsigned)config->auth_password_min_length,
	    (unsigned)config->auth_password_max_length, &plain, f);
	if (e == OK)
		e = password_policy_check(buf_str(&plain), email, name, f);
	if (e != OK)
		goto out;
	e = hasher_hash(c->hasher, buf_str(&plain), phc);
	if (e != OK)
		fail_code(f, e);
out:
	buf_release(&plain);
	return e;
}

enum err rehash_password(struct ctl *c, struct str password, char phc[PASSWORD_PHC_LEN])
{
	struct buf plain;
	enum err e;

	buf_init_secret(&plain, PASSWORD_BYTES);
	e = password_normalise(password, 1, PASSWORD_CHARS, &plain, NULL);
	if (e == OK)
		e = hasher_hash(c->hasher, buf_str(&plain), phc);
	buf_release(&plain);
	return e;
}

enum err password_check(struct ctl *c, struct str password, struct str phc, bool *weaker,
    struct fail *f)
{
	struct buf plain;
	bool usable;
	enum err e;

	buf_init_secret(&plain, PASSWORD_BYTES);
	usable = password_normalise(password, 1, PASSWORD_CHARS, &plain, NULL) == OK;
	if (usable)
		e = hasher_verify(c->hasher, buf_str(&plain), phc, weaker);
	else
		e = hasher_verify(c->hasher, STR("-"), STR_NONE, weaker);
	buf_release(&plain);
	if (e == OK)
		return OK;
	return fail_code(f, e == E_OVERLOADED || e == E_NOMEM || e == E_INTERNAL ? e :
	    E_INVALID_CREDENTIALS);
}
