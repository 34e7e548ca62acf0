/* gwctl db: the schema of the store, without a server. */
#include <jansson.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/config.h"
#include "gwctl.h"
#include "offline.h"
#include "store/migrate.h"
#include "store/store.h"

#define ARENA_MAX (4u << 20)

static json_t *row(const struct migration_status *m)
{
	char at[CLOCK_RFC3339_LEN];

	return json_pack("{si,ss,ss,ss?}", "version", m->version, "name", m->name, "state",
	    m->state == MIGRATION_APPLIED ? "applied" : "pending", "applied_at",
	    m->applied_at != 0 ? clock_rfc3339(m->applied_at, at) : NULL);
}

/* The migrations of which `want` says true. */
static enum err print_status(struct gwctl *g, struct store *s,
    bool (*want)(const struct migration_status *m, int64_t since), int64_t since, struct fail *f)
{
	struct migration_status *m = NULL;
	struct arena a;
	size_t n = 0;
	json_t *rows = json_array();
	enum err e;

	arena_init(&a, ARENA_MAX);
	e = migrate_status(s, migrations_embedded, &a, &m, &n, f);
	for (size_t i = 0; e == OK && i < n; i++)
		if (want(&m[i], since) && json_array_append_new(rows, row(&m[i])) != 0)
			e = fail_set(f, E_NOMEM, "no memory");
	if (e == OK)
		e = print_list(&g->print, rows, NULL);
	json_decref(rows);
	arena_release(&a);
	return e;
}

static bool any(const struct migration_status *m, int64_t since)
{
	(void)m;
	(void)since;
	return true;
}

static bool pending(const struct migration_status *m, int64_t since)
{
	(void)since;
	return m->state == MIGRATION_PENDING;
}

static bool applied_since(const struct migration_status *m, int64_t since)
{
	return m->state == MIGRATION_APPLIED && m->applied_at >= since;
}

static enum err with_store(struct gwctl *g, bool read_only,
    enum err (*work)(struct gwctl *g, struct store *s, struct fail *f), struct fail *f)
{
	struct config *c = NULL;
	struct store *s = NULL;
	enum err e = offline_config(g, &c, f);

	if (e == OK)
		e = offline_open(c, read_only, &s, f);
	if (e == OK)
		e = work(g, s, f);
	store_close(s);
	config_free(c);
	return e;
}

static enum err migrate(struct gwctl *g, struct store *s, struct fail *f)
{
	int64_t now = clock_wall();
	int applied = 0;
	enum err e = migrate_up(s, migrations_embedded, now, &applied, f);

	if (e != OK)
		return e;
	fprintf(stderr, applied == 0 ? "the schema is up to date\n" : "migrations applied: %d\n", applied);
	return print_status(g, s, applied_since, applied > 0 ? now : INT64_MAX, f);
}

static enum err show_pending(struct gwctl *g, struct store *s, struct fail *f)
{
	return print_status(g, s, pending, 0, f);
}

enum err db_migrate_run(struct gwctl *g, struct fail *f)
{
	bool dry = args_has(&g->args, "--dry-run");

	return with_store(g, dry, dry ? show_pending : migrate, f);
}

static enum err show_all(struct gwctl *g, struct store *s, struct fail *f)
{
	return print_status(g, s, any, 0, f);
}

enum err db_status_run(struct gwctl *g, struct fail *f)
{
	return with_store(g, true, show_all, f);
}

static enum err check(struct gwctl *g, struct store *s, struct fail *f)
{
	enum err e = migrate_check(s, migrations_embedded, f);
	json_t *o;

	if (e != OK)
		return e;
	o = json_pack("{ss,ss}", "schema", "ok", "engine", store_is_rqlite(s) ? "rqlite" : "sqlite");
	e = o != NULL ? print_object(&g->print, o) : E_NOMEM;
	json_decref(o);
	return e;
}

enum err db_check_run(struct gwctl *g, struct fail *f)
{
	return with_store(g, true, check, f);
}
