#include "api/key_rotation.h"

#include "api/ctl.h"
#include "base/arena.h"
#include "base/clock.h"
#include "base/config.h"
#include "base/log.h"
#include "iam/audit.h"
#include "iam/signing_key.h"
#include "iam/write.h"

#define CLOCK_SLACK (60 * CLOCK_SEC)
#define AT_LEAST (200 * CLOCK_MS)  /* between two looks */
#define AT_MOST (60 * CLOCK_SEC)   /* the configuration, or somebody, may have moved the date */

int64_t key_keep_us(const struct config *c)
{
	return c->auth_access_ttl + CLOCK_SLACK;
}

static enum err commit_rotation(struct ctl *c, struct write *w, struct str kid, struct fail *f)
{
	struct audit_record rec = { .at = w->now, .method = STR("schedule"),
		.action = STR("keys.rotate"), .target = kid, .outcome = STR("ok") };
	enum err e = audit_commit(c->audit, w, &rec, f);

	return e == OK ? ctl_sync(c, f) : e;
}

static enum err try(struct ctl *c, struct arena *a, int64_t now, int64_t *due, struct fail *f)
{
	const struct config *k = c->config;
	struct signing_key_schedule when = { k->auth_key_rotation, k->auth_key_lead, key_keep_us(k) };
	struct write w;
	struct str kid;
	enum err e;

	write_init(&w, a, now);
	e = signing_key_rotate_due(&w, c->store, c->seal, &when, &kid, due, f);
	if (e != OK || kid.p == NULL)
		return e;
	e = commit_rotation(c, &w, kid, f);
	if (e == E_CONFLICT) { /* another replica was faster */
		fail_clear(f);
		return OK;
	}
	if (e == OK)
		log_info("signing keys have rotated", LOG_S("kid", kid));
	return e;
}

int64_t key_rotation_run(struct ctl *c, int64_t now)
{
	int64_t due = now + AT_MOST, wait;
	struct fail f = { 0 };
	struct arena a;

	if (c->config->auth_key_rotation == 0)
		return AT_MOST;
	arena_init(&a, 1 << 16);
	if (try(c, &a, now, &due, &f) != OK) {
		log_fail("signing keys should rotate, but could not; trying again", &f);
		due = now + AT_MOST;
	}
	fail_clear(&f);
	arena_release(&a);
	wait = due - now;
	wait = wait < AT_LEAST ? AT_LEAST : wait;
	return wait < AT_MOST ? wait : AT_MOST;
}
