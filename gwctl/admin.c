/* gwctl admin: platform admins, without a server. */
#include <jansson.h>

#include "base/clock.h"
#include "base/config.h"
#include "base/id.h"
#include "crypto/password.h"
#include "gwctl.h"
#include "offline.h"
#include "prompt.h"
#include "iam/admin_init.h"
#include "store/migrate.h"
#include "store/store.h"

static enum err print_made(struct gwctl *g, struct id id, const char *email)
{
	char text[ID_TEXT_LEN];
	json_t *o = json_pack("{ss,ss,ss}", "id", id_text(id, text), "email", email, "role",
	    "platform-admin");
	enum err e = o != NULL ? print_object(&g->print, o) : E_NOMEM;

	json_decref(o);
	return e;
}

static enum err print_plan(struct gwctl *g, const char *email)
{
	const struct print p = { g->print.out, g->print.format, "email,role" };
	json_t *o = json_pack("{sb,ss,ss}", "dry_run", 1, "email", email, "role", "platform-admin");
	enum err e = o != NULL ? print_object(&p, o) : E_NOMEM;

	json_decref(o);
	return e;
}

static enum err init(struct gwctl *g, const struct config *c, struct store *s, struct fail *f)
{
	const char *email = gwctl_arg(g, "--email"), *file = gwctl_arg(g, "--password-file");
	bool dry_run = args_has(&g->args, "--dry-run");
	struct secret password = { 0 };
	struct id id;
	enum err e = file != NULL ? prompt_secret_file(file, &password, f) :
	    prompt_new_secret("password of the first platform admin", &password, f);

	if (e == OK)
		e = iam_admin_init(s, str_c(email), str_n((char *)password.p, password.n), c,
		    clock_wall(), dry_run, &id, f);
	secret_release(&password);
	if (e != OK)
		return e;
	return dry_run ? print_plan(g, email) : print_made(g, id, email);
}

enum err admin_init_run(struct gwctl *g, struct fail *f)
{
	struct config *c = NULL;
	struct store *s = NULL;
	enum err e = offline_config(g, &c, f);

	if (e == OK)
		e = offline_open(c, false, &s, f);
	if (e == OK && migrate_check(s, migrations_embedded, f) != OK) {
		e = fail_wrap(f, "the store is not ready (see 'gwctl db migrate')");
	}
	if (e == OK)
		e = init(g, c, s, f);
	store_close(s);
	config_free(c);
	return e;
}
