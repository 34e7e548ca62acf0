#include "iam/throttle.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/config.h"
#include "base/heap.h"
#include "base/pace.h"
#include "base/tally.h"
#include "crypto/digest.h"
#include "crypto/seal.h"
#include "iam/tries.h"
#include "iam/write.h"
#include "obs/obs.h"
#include "request/request.h"

#define ADDRESSES 65536 /* remembered at once, 8 bytes each */
#define PRINCIPALS 8192
#define SITE 16         /* a /48 may have so many times the failures of a /64 */
#define ALL 3           /* strangers together, of those of one */
#define DAY (24 * 3600 * CLOCK_SEC)
#define ARENA_MAX (64u << 10)

enum limit { BY_ADDRESS, BY_ACCOUNT, LIMITS };

static const struct {
	const char *name;
	unsigned char family; /* rules of one family share what counts against an address */
} rules[THROTTLE__COUNT] = {
	[THROTTLE_SIGNIN] = { "signin", 0 },
	[THROTTLE_MFA] = { "mfa", 0 },
	[THROTTLE_TOKEN] = { "token", 0 },
	[THROTTLE_CREDENTIAL] = { "credential", 0 },
	[THROTTLE_LINK] = { "link", 0 },
	[THROTTLE_FORGOT] = { "forgot", 1 },
	[THROTTLE_SIGNUP] = { "signup", 2 },
	[THROTTLE_REFUSED] = { "refused", 3 },
};

/* Where a delay comes to the time in which an event is forgotten, it grows no more: steady guessing
 * settles there. `free` is configured. */
static const struct pace address_pace = { .first = CLOCK_SEC, .factor = 2, .most = 60 * CLOCK_SEC,
	.leak = 30 * CLOCK_SEC };
static const struct pace pair_pace = { .first = CLOCK_SEC, .factor = 2, .most = 900 * CLOCK_SEC,
	.leak = 900 * CLOCK_SEC };
static const struct pace all_pace = { .first = CLOCK_SEC, .factor = 2, .most = 300 * CLOCK_SEC,
	.leak = 300 * CLOCK_SEC };
/* 1, 3, 9, 27 minutes, then 28: five in an hour, and a link lives for 30 minutes */
static const struct pace letter_pace = { .free = 1, .first = 60 * CLOCK_SEC, .factor = 3,
	.most = 1680 * CLOCK_SEC, .leak = 1680 * CLOCK_SEC };

/* Scripts that try what is there already must get through: a thousand, and then one a second. */
static const struct pace refused_pace = { .free = 1000, .first = CLOCK_SEC, .factor = 2,
	.most = 10 * CLOCK_SEC, .leak = CLOCK_SEC };

struct throttle {
	struct store *store;
	const struct seal *seal;
	struct tally addresses, principals;
	_Atomic int64_t per_address, per_account, floor;
	_Atomic uint64_t refused[THROTTLE__COUNT][LIMITS];
	pthread_mutex_t mu; /* guards the list */
	struct throttle_try *under_way; /* at most one for each control thread */
};

enum err throttle_new(struct store *s, const struct seal *seal, struct throttle **out)
{
	struct throttle *t = heap_zalloc(sizeof *t);

	if (t == NULL)
		return E_NOMEM;
	if (tally_init(&t->addresses, ADDRESSES) != OK || tally_init(&t->principals, PRINCIPALS) != OK) {
		tally_release(&t->addresses);
		heap_free(t);
		return E_NOMEM;
	}
	t->store = s;
	t->seal = seal;
	pthread_mutex_init(&t->mu, NULL);
	*out = t;
	return OK;
}

void throttle_free(struct throttle *t)
{
	if (t == NULL)
		return;
	tally_release(&t->addresses);
	tally_release(&t->principals);
	pthread_mutex_destroy(&t->mu);
	heap_free(t);
}

void throttle_configure(struct throttle *t, const struct config *k)
{
	atomic_store(&t->per_address, k->limits_attempts_per_address);
	atomic_store(&t->per_account, k->limits_attempts_per_account);
	atomic_store(&t->floor, k->auth_answer_floor);
}

int64_t throttle_floor(const struct throttle *t)
{
	return t != NULL ? atomic_load_explicit(&t->floor, memory_order_relaxed) : 0;
}

struct throttle_who throttle_who(const struct request *r, struct str account)
{
	return (struct throttle_who){ .from = network_of((const struct sockaddr *)&r->peer),
		.account = account, .wall = clock_wall(), .mono = clock_mono() };
}

static struct pace with_free(const struct pace *p, int64_t free)
{
	struct pace out = *p;

	out.free = free;
	return out;
}

static enum err refuse(struct throttle *t, enum throttle_rule rule, enum limit by, int64_t wait,
    struct fail *f)
{
	atomic_fetch_add_explicit(&t->refused[rule][by], 1, memory_order_relaxed);
	fail_code(f, E_RATE_LIMITED);
	if (f != NULL)
		f->retry_after = (int)((wait + CLOCK_SEC - 1) / CLOCK_SEC);
	return E_RATE_LIMITED;
}

/* ---- addresses ------------------------------------------------------------------------------ */

/* A network or a site, in the eyes of a family of rules. */
struct place {
	unsigned char b[sizeof(struct network) + 2];
};

static struct place place_of(enum throttle_rule rule, bool site, struct network n)
{
	struct place p;

	memcpy(p.b, n.b, sizeof n.b);
	p.b[sizeof n.b] = rules[rule].family;
	p.b[sizeof n.b + 1] = site;
	return p;
}

static struct str place_str(const struct place *p)
{
	return str_n((const char *)p->b, sizeof p->b);
}

/* A site that is no more than the network counts once. */
static bool has_site(struct network n, struct network *site)
{
	*site = network_site(n);
	return n.b[10] != 0xff || n.b[11] != 0xff;
}

static int64_t address_wait(struct throttle *t, enum throttle_rule rule,
    const struct throttle_who *who)
{
	int64_t free = atomic_load_explicit(&t->per_address, memory_order_relaxed), wait, more;
	struct pace p = with_free(&address_pace, free);
	struct place at = place_of(rule, false, who->from);
	struct network site;

	wait = tally_wait(&t->addresses, &p, place_str(&at), who->mono);
	if (!has_site(who->from, &site))
		return wait;
	p.free = free * SITE;
	at = place_of(rule, true, site);
	more = tally_wait(&t->addresses, &p, place_str(&at), who->mono);
	return wait > more ? wait : more;
}

enum err throttle_look(struct throttle *t, enum throttle_rule rule, const struct throttle_who *who,
    struct fail *f)
{
	int64_t wait = t != NULL ? address_wait(t, rule, who) : 0;

	return wait > 0 ? refuse(t, rule, BY_ADDRESS, wait, f) : OK;
}

void throttle_count(struct throttle *t, enum throttle_rule rule, const struct throttle_who *who)
{
	struct place at;
	struct network site;

	if (t == NULL)
		return;
	at = place_of(rule, false, who->from);
	tally_add(&t->addresses, &address_pace, place_str(&at), who->mono);
	if (!has_site(who->from, &site))
		return;
	at = place_of(rule, true, site);
	tally_add(&t->addresses, &address_pace, place_str(&at), who->mono);
}

/* ---- principals ----------------------------------------------------------------------------- */

enum err throttle_refused_look(struct throttle *t, const struct id *principal, int64_t mono,
    struct fail *f)
{
	struct str key = str_n((const char *)principal->b, sizeof principal->b);
	int64_t wait = t != NULL ? tally_wait(&t->principals, &refused_pace, key, mono) : 0;

	return wait > 0 ? refuse(t, THROTTLE_REFUSED, BY_ACCOUNT, wait, f) : OK;
}

void throttle_refused_count(struct throttle *t, const struct id *principal, int64_t mono)
{
	if (t != NULL)
		tally_add(&t->principals, &refused_pace, str_n((const char *)principal->b, sizeof principal->b),
		    mono);
}

/* ---- keys ----------------------------------------------------------------------------------- */

/* Half of a MAC over what it is for, from where (NULL: from everywhere) and whose. */
static struct id key_of(const struct throttle *t, const char *what, const struct network *from,
    struct str account)
{
	struct {
		char what[32];
		struct network from;
		unsigned char whose[SHA256_LEN];
	} text = { .from = { { 0 } } };
	unsigned char mac[32];
	struct id key;

	(void)snprintf(text.what, sizeof text.what, "%s", what);
	if (from != NULL)
		text.from = *from;
	digest_sha256(account, text.whose);
	seal_mac(t->seal, "throttle", str_n((const char *)&text, sizeof text), mac);
	memcpy(key.b, mac, sizeof key.b);
	return key;
}

static struct id pair_key(const struct throttle *t, enum throttle_rule rule,
    const struct throttle_who *who)
{
	return key_of(t, rules[rule].name, &who->from, who->account);
}

static struct id all_key(const struct throttle *t, enum throttle_rule rule, struct str account)
{
	return key_of(t, rules[rule].name, NULL, account);
}

static struct id account_key(const struct throttle *t, const struct throttle_who *who)
{
	return key_of(t, "account", NULL, who->account);
}

static struct id network_key(const struct throttle *t, const struct throttle_who *who)
{
	return key_of(t, "network", &who->from, who->account);
}

static void make_keys(struct throttle_try *y)
{
	y->pair = pair_key(y->t, y->rule, &y->who);
	y->all = all_key(y->t, y->rule, y->who.account);
	y->account = account_key(y->t, &y->who);
	y->network = network_key(y->t, &y->who);
}

/* ---- attempts ------------------------------------------------------------------------------- */

static void enter(struct throttle_try *y)
{
	pthread_mutex_lock(&y->t->mu);
	for (const struct throttle_try *o = y->t->under_way; o != NULL; o = o->next) {
		y->rivals[0] = y->rivals[0] || id_eq(o->pair, y->pair);
		y->rivals[1] = y->rivals[1] || id_eq(o->all, y->all);
	}
	y->next = y->t->under_way;
	y->t->under_way = y;
	pthread_mutex_unlock(&y->t->mu);
}

static void leave(struct throttle_try *y)
{
	struct throttle *t = y->t;
	struct throttle_try **at = &t->under_way;

	pthread_mutex_lock(&t->mu);
	while (*at != y)
		at = &(*at)->next;
	*at = y->next;
	pthread_mutex_unlock(&t->mu);
	y->t = NULL;
}

/* How long until the next; once there are delays, attempts come one at a time, or many at once would
 * all be let through before the first of them counts. */
static int64_t count_wait(const struct pace *p, const struct tries *c, int64_t now, bool rivals)
{
	int64_t wait = pace_wait(p, c->n, now - c->at);

	if (wait == 0 && rivals && p->free > 0 && pace_left(p, c->n, now - c->at) >= p->free)
		return CLOCK_SEC;
	return wait;
}

static int64_t account_wait(struct throttle_try *y, const struct tries c[2], int64_t seen_at)
{
	int64_t free = atomic_load(&y->t->per_account), now = y->who.wall, wait, more;
	struct pace pair = with_free(&pair_pace, free), all = with_free(&all_pace, free * ALL);

	y->known = seen_at != 0 && now - seen_at < KNOWN_NETWORK_DAYS * DAY;
	y->settled = y->known && c[0].n == 0 && now - seen_at < DAY;
	wait = count_wait(&pair, &c[0], now, y->rivals[0]);
	if (y->known)
		return wait;
	more = count_wait(&all, &c[1], now, y->rivals[1]);
	return wait > more ? wait : more;
}

static enum err look_up(struct throttle_try *y, struct fail *f)
{
	struct id keys[2] = { y->pair, y->all };
	struct tries counts[2];
	int64_t seen_at = 0, wait, away;
	enum err e = tries_read(y->t->store, keys, &y->account, &y->network, counts, &seen_at, f);

	if (e != OK)
		return e;
	wait = account_wait(y, counts, seen_at);
	away = y->known ? 0 : address_wait(y->t, y->rule, &y->who);
	if (wait > 0 || away > 0)
		return refuse(y->t, y->rule, wait >= away ? BY_ACCOUNT : BY_ADDRESS,
		    wait >= away ? wait : away, f);
	return OK;
}

enum err throttle_begin(struct throttle *t, enum throttle_rule rule, const struct throttle_who *who,
    struct throttle_try *y, struct fail *f)
{
	enum err e;

	*y = (struct throttle_try){ .t = t, .rule = rule, .who = *who };
	if (t == NULL)
		return OK;
	make_keys(y);
	enter(y);
	e = look_up(y, f);
	if (e != OK)
		leave(y);
	return e;
}

static enum err count(struct throttle_try *y, struct fail *f)
{
	struct arena a;
	struct write w;
	enum err e;

	throttle_count(y->t, y->rule, &y->who);
	arena_init(&a, ARENA_MAX);
	write_init(&w, &a, y->who.wall);
	tries_add(&w, &pair_pace, &y->pair);
	if (!y->known)
		tries_add(&w, &all_pace, &y->all);
	e = write_run(&w, y->t->store, f);
	arena_release(&a);
	return e;
}

static bool is_wrong(enum err e)
{
	return e == E_INVALID_CREDENTIALS || e == E_UNAUTHENTICATED || e == E_MFA_INVALID ||
	    e == E_TOKEN_INVALID;
}

enum err throttle_settle(struct throttle_try *y, enum err e, struct fail *f)
{
	struct fail other = { 0 };
	enum err counted;

	if (y->t == NULL)
		return e;
	counted = is_wrong(e) ? count(y, &other) : OK;
	leave(y); /* the next is let in when this one counts */
	if (counted == OK)
		return e;
	if (f != NULL) {
		fail_clear(f);
		*f = other;
	}
	return counted;
}

void throttle_passed(struct throttle_try *y)
{
	struct throttle *t = y->t;
	struct arena a;
	struct write w;

	if (t == NULL)
		return;
	leave(y);
	if (y->settled)
		return;
	arena_init(&a, ARENA_MAX);
	write_init(&w, &a, y->who.wall);
	throttle_welcome(t, &w, &y->who);
	(void)write_run(&w, t->store, NULL);
	arena_release(&a);
}

static enum err wrong_from(struct throttle *t, enum throttle_rule rule,
    const struct throttle_who *who, struct fail *f)
{
	enum err e = throttle_look(t, rule, who, f);

	if (e == OK)
		throttle_count(t, rule, who);
	return e;
}

enum err throttle_wrong(struct throttle *t, enum throttle_rule rule, const struct throttle_who *who,
    enum err e, struct fail *f)
{
	struct fail limited = { 0 };
	struct throttle_try y;
	enum err wait;

	if (t == NULL || !is_wrong(e))
		return e;
	wait = who->account.p == NULL ? wrong_from(t, rule, who, &limited) :
	    throttle_begin(t, rule, who, &y, &limited);
	if (wait == OK)
		return who->account.p == NULL ? e : throttle_settle(&y, e, f);
	if (f != NULL) {
		fail_clear(f);
		*f = limited;
	}
	return wait;
}

/* ---- owners --------------------------------------------------------------------------------- */

/* Where an account's owner proves itself. */
static const enum throttle_rule own[] = { THROTTLE_SIGNIN, THROTTLE_MFA };

void throttle_welcome(struct throttle *t, struct write *w, const struct throttle_who *who)
{
	struct id account, network;

	if (t == NULL)
		return;
	account = account_key(t, who);
	network = network_key(t, who);
	for (size_t i = 0; i < sizeof own / sizeof *own; i++) {
		struct id pair = pair_key(t, own[i], who);

		tries_forget(w, &pair);
	}
	known_network_add(w, &account, &network);
}

void throttle_estrange(struct throttle *t, struct write *w, const struct throttle_who *who)
{
	struct id account, network;

	if (t == NULL)
		return;
	account = account_key(t, who);
	network = network_key(t, who);
	known_network_forget(w, &account, &network);
}

void throttle_pardon(struct throttle *t, struct write *w, struct str account)
{
	for (size_t i = 0; t != NULL && i < sizeof own / sizeof *own; i++) {
		struct id all = all_key(t, own[i], account);

		tries_forget(w, &all);
	}
}

void throttle_trim(struct throttle *t, int64_t now)
{
	if (t != NULL) /* a failure leaves it for the next */
		(void)tries_trim(t->store, now, 4096, NULL);
}

/* ---- letters -------------------------------------------------------------------------------- */

static struct id letter_key(const struct throttle *t, const char *kind, struct str address)
{
	char what[32];

	(void)snprintf(what, sizeof what, "letter %s", kind);
	return key_of(t, what, NULL, address);
}

enum err throttle_letter_read(struct throttle *t, const char *kind, struct str address, int64_t now,
    struct throttle_letter *out, struct fail *f)
{
	struct tries c;
	enum err e;

	*out = (struct throttle_letter){ .due = true };
	if (t == NULL)
		return OK;
	out->key = letter_key(t, kind, address);
	e = tries_read_one(t->store, &out->key, &c, f);
	if (e != OK)
		return e;
	out->due = pace_wait(&letter_pace, c.n, now - c.at) == 0;
	out->n = c.n;
	out->at = c.at;
	return OK;
}

void throttle_letter_add(struct throttle *t, struct write *w, const struct throttle_letter *l)
{
	struct tries was = { l->n, l->at };

	if (t != NULL)
		tries_add_if(w, &letter_pace, &l->key, &was);
}

void throttle_letter_used(struct throttle *t, struct write *w, const char *kind, struct str address)
{
	struct id key;

	if (t == NULL)
		return;
	key = letter_key(t, kind, address);
	tries_forget(w, &key);
}

/* ---- metrics -------------------------------------------------------------------------------- */

void throttle_write_metrics(struct throttle *t, struct buf *out)
{
	static const char *const by[LIMITS] = { [BY_ADDRESS] = "address", [BY_ACCOUNT] = "account" };

	obs_family(out, "gateway_rate_limited_total");
	for (int r = 0; r < THROTTLE__COUNT; r++)
		for (int l = 0; l < LIMITS; l++)
			buf_printf(out, "gateway_rate_limited_total{rule=\"%s_%s\"} %llu\n", rules[r].name,
			    by[l], (unsigned long long)atomic_load(&t->refused[r][l]));
}
