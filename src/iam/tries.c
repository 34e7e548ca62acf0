#include "iam/tries.h"

#include "base/arena.h"
#include "base/clock.h"
#include "base/pace.h"
#include "iam/write.h"
#include "store/store.h"

#define READ_MAX (64u << 10)
#define DAY (24 * 3600 * CLOCK_SEC)
#define TRIM_AT_ONCE 8 /* rows that each event takes along: more than it makes */

static void take(const struct store_rows *r, struct tries *out)
{
	*out = (struct tries){ 0 };
	if (r->nrows > 0)
		*out = (struct tries){ store_int(r, 0, 0), store_int(r, 0, 1) };
}

enum err tries_read(struct store *s, const struct id key[2], const struct id *account,
    const struct id *network, struct tries out[2], int64_t *seen_at, struct fail *f)
{
	const struct store_stmt q[] = {
		STMT("SELECT n, at FROM tries WHERE key = ?", SV_ID(&key[0])),
		STMT("SELECT n, at FROM tries WHERE key = ?", SV_ID(&key[1])),
		STMT("SELECT seen_at FROM known_network WHERE account = ? AND network = ?",
		    SV_ID(account), SV_ID(network)),
	};
	struct store_rows rows[3];
	struct arena a;
	enum err e;

	arena_init(&a, READ_MAX);
	e = store_read(s, STORE_FRESH, q, 3, &a, rows, f);
	if (e == OK) {
		take(&rows[0], &out[0]);
		take(&rows[1], &out[1]);
		*seen_at = rows[2].nrows > 0 ? store_int(&rows[2], 0, 0) : 0;
	}
	arena_release(&a);
	return e;
}

enum err tries_read_one(struct store *s, const struct id *key, struct tries *out, struct fail *f)
{
	const struct store_stmt q = STMT("SELECT n, at FROM tries WHERE key = ?", SV_ID(key));
	struct store_rows rows;
	struct arena a;
	enum err e;

	arena_init(&a, READ_MAX);
	e = store_read(s, STORE_LINEAR, &q, 1, &a, &rows, f);
	if (e == OK)
		take(&rows, out);
	arena_release(&a);
	return e;
}

/* The arithmetic of pace_left in SQL, so that replicas that count at the same time count both. Integer
 * division; a clock that was set back forgets nothing. */
#define LEFT "max(0, tries.n - max(0, excluded.at - tries.at) / ?)"
#define UPSERT \
	"INSERT INTO tries (key, n, at, drop_at) VALUES (?, 1, ?, ?)" \
	" ON CONFLICT (key) DO UPDATE SET n = min(?, " LEFT " + 1), at = excluded.at," \
	" drop_at = excluded.at + (" LEFT " + 1) * ?"

static void trim(struct write *w, int64_t limit)
{
	WRITE(w, "DELETE FROM tries WHERE key IN"
	    " (SELECT key FROM tries WHERE drop_at <= ? ORDER BY drop_at LIMIT ?)",
	    SV_INT(w->now), SV_INT(limit));
}

void tries_add(struct write *w, const struct pace *p, const struct id *key)
{
	trim(w, TRIM_AT_ONCE);
	WRITE1(w, OK, UPSERT, SV_ID(key), SV_INT(w->now), SV_INT(w->now + p->leak), SV_INT(PACE_MAX),
	    SV_INT(p->leak), SV_INT(p->leak), SV_INT(p->leak));
}

void tries_add_if(struct write *w, const struct pace *p, const struct id *key,
    const struct tries *was)
{
	WRITE1(w, E_RATE_LIMITED, UPSERT " WHERE tries.n = ? AND tries.at = ?", SV_ID(key),
	    SV_INT(w->now), SV_INT(w->now + p->leak), SV_INT(PACE_MAX), SV_INT(p->leak),
	    SV_INT(p->leak), SV_INT(p->leak), SV_INT(was->n), SV_INT(was->at));
}

void tries_forget(struct write *w, const struct id *key)
{
	WRITE(w, "DELETE FROM tries WHERE key = ?", SV_ID(key));
}

void known_network_add(struct write *w, const struct id *account, const struct id *network)
{
	WRITE(w, "INSERT INTO known_network (account, network, seen_at) VALUES (?, ?, ?)"
	    " ON CONFLICT (account, network) DO UPDATE SET seen_at = excluded.seen_at"
	    " WHERE abs(excluded.seen_at - known_network.seen_at) >= ?",
	    SV_ID(account), SV_ID(network), SV_INT(w->now), SV_INT(DAY));
}

void known_network_forget(struct write *w, const struct id *account, const struct id *keep)
{
	WRITE(w, "DELETE FROM known_network WHERE account = ? AND network <> ?", SV_ID(account),
	    SV_ID(keep));
}

enum err tries_trim(struct store *s, int64_t now, int64_t limit, struct fail *f)
{
	struct arena a;
	struct write w;
	enum err e;

	arena_init(&a, READ_MAX);
	write_init(&w, &a, now);
	trim(&w, limit);
	WRITE(&w, "DELETE FROM known_network WHERE (account, network) IN (SELECT account, network"
	    " FROM known_network WHERE seen_at <= ? ORDER BY seen_at LIMIT ?)",
	    SV_INT(now - KNOWN_NETWORK_DAYS * DAY), SV_INT(limit));
	e = write_run(&w, s, f);
	arena_release(&a);
	return e;
}
