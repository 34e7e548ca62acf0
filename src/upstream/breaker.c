#include "upstream/breaker.h"

enum event { EV_GOOD, EV_TRIP, EV_DUE, EV_PROBE_OK, EV_PROBE_FAILED, EV__COUNT };

/* Where an event leads; a state that is not named stays. GOOD and TRIP are of tries that are not probes:
 * when open, they began before it opened and say nothing new. */
static const enum breaker_state next[BREAKER__STATES][EV__COUNT] = {
	[BREAKER_CLOSED] = {
		[EV_GOOD] = BREAKER_CLOSED,
		[EV_TRIP] = BREAKER_OPEN,
		[EV_DUE] = BREAKER_CLOSED,
		[EV_PROBE_OK] = BREAKER_CLOSED,
		[EV_PROBE_FAILED] = BREAKER_CLOSED,
	},
	[BREAKER_OPEN] = {
		[EV_GOOD] = BREAKER_OPEN,
		[EV_TRIP] = BREAKER_OPEN,
		[EV_DUE] = BREAKER_HALF_OPEN,
		[EV_PROBE_OK] = BREAKER_OPEN,
		[EV_PROBE_FAILED] = BREAKER_OPEN,
	},
	[BREAKER_HALF_OPEN] = {
		[EV_GOOD] = BREAKER_HALF_OPEN,
		[EV_TRIP] = BREAKER_HALF_OPEN,
		[EV_DUE] = BREAKER_HALF_OPEN,
		[EV_PROBE_OK] = BREAKER_CLOSED,
		[EV_PROBE_FAILED] = BREAKER_OPEN,
	},
};

const char *breaker_state_name(enum breaker_state s)
{
	static const char *const names[] = {
		[BREAKER_CLOSED] = "closed", [BREAKER_HALF_OPEN] = "half-open", [BREAKER_OPEN] = "open",
	};

	return names[s];
}

/* ---- the gate --------------------------------------------------------------------------------------- */

struct gate {
	enum breaker_state state; /* 2 bits */
	bool probing;             /* half-open: the probe is on its way */
	unsigned opened;          /* 5 bits: how often in a row it has opened */
	unsigned consecutive;     /* 8 bits: failures */
	int64_t until;            /* 48 bits, milliseconds; open: when a probe may go */
};

static struct gate unpack(uint64_t w)
{
	return (struct gate){ (enum breaker_state)(w & 3), w >> 2 & 1, w >> 3 & 31, w >> 8 & 255,
		(int64_t)(w >> 16) };
}

static uint64_t pack(const struct gate *g)
{
	return (uint64_t)g->state | (uint64_t)g->probing << 2 | (uint64_t)g->opened << 3 |
	    (uint64_t)g->consecutive << 8 | (uint64_t)g->until << 16;
}

/* False: another thread was faster, and *w is what it left. */
static bool swap(struct breaker *b, uint64_t *w, const struct gate *g)
{
	return atomic_compare_exchange_weak(&b->gate, w, pack(g));
}

static int64_t backoff(unsigned opened)
{
	int64_t us = BREAKER_BACKOFF_MIN << (opened - 1);

	return us < BREAKER_BACKOFF_MAX ? us : BREAKER_BACKOFF_MAX;
}

static bool apply(struct gate *g, enum event ev, int64_t now)
{
	enum breaker_state to = next[g->state][ev];

	if (to == g->state)
		return false;
	g->state = to;
	g->probing = false;
	g->consecutive = 0;
	if (to == BREAKER_CLOSED)
		g->opened = 0;
	if (to != BREAKER_OPEN)
		return true;
	g->opened += g->opened < 31;
	g->until = (now + backoff(g->opened) + 999) / 1000;
	return true;
}

static bool due(const struct gate *g, int64_t now)
{
	return now / 1000 >= g->until;
}

enum breaker_state breaker_state(const struct breaker *b)
{
	return unpack(atomic_load_explicit(&b->gate, memory_order_relaxed)).state;
}

bool breaker_allows(const struct breaker *b, int64_t now)
{
	struct gate g = unpack(atomic_load_explicit(&b->gate, memory_order_relaxed));

	switch (g.state) {
	case BREAKER_OPEN:
		return due(&g, now);
	case BREAKER_HALF_OPEN:
		return !g.probing;
	default:
		return true;
	}
}

enum breaker_pass breaker_start(struct breaker *b, int64_t now)
{
	uint64_t w = atomic_load_explicit(&b->gate, memory_order_relaxed);
	struct gate g;

	do {
		g = unpack(w);
		if (g.state == BREAKER_CLOSED)
			return BREAKER_PASSED;
		if (g.state == BREAKER_OPEN && due(&g, now))
			apply(&g, EV_DUE, now);
		if (g.state != BREAKER_HALF_OPEN || g.probing)
			return BREAKER_REFUSED;
		g.probing = true;
	} while (!swap(b, &w, &g));
	return BREAKER_PROBE;
}

/* ---- the window ------------------------------------------------------------------------------------- */

#define COUNT_BITS 20
#define COUNT_MAX ((1u << COUNT_BITS) - 1)
#define INDEX_MAX ((1u << 24) - 1)

/* Results between two multiples of BREAKER_WINDOW. */
struct window {
	uint32_t index, total, failed;
};

static uint32_t index_of(int64_t now)
{
	return (uint32_t)(now / BREAKER_WINDOW) & INDEX_MAX;
}

static struct window window_unpack(uint64_t w)
{
	return (struct window){ (uint32_t)(w >> 2 * COUNT_BITS), (uint32_t)(w >> COUNT_BITS) & COUNT_MAX,
		(uint32_t)w & COUNT_MAX };
}

static uint64_t window_pack(const struct window *w)
{
	return (uint64_t)w->index << 2 * COUNT_BITS | (uint64_t)w->total << COUNT_BITS | w->failed;
}

/* Adds results to this window, which may be a new one; returns what it has then. Full, it counts no more:
 * by then its share says enough. */
static struct window window_add(struct breaker *b, uint32_t index, uint32_t good, uint32_t failed)
{
	uint64_t was = atomic_load_explicit(&b->window, memory_order_relaxed);
	struct window w;

	do {
		w = window_unpack(was);
		if (w.index != index)
			w = (struct window){ .index = index };
		if (w.total > COUNT_MAX - failed || good > COUNT_MAX - failed - w.total)
			break;
		w.total += good + failed;
		w.failed += failed;
	} while (!atomic_compare_exchange_weak(&b->window, &was, window_pack(&w)));
	return w;
}

static void share_in(struct breaker_share *mine, uint32_t index)
{
	if (mine->window != index)
		*mine = (struct breaker_share){ .window = index };
}

static void count_good(struct breaker *b, struct breaker_share *mine, int64_t now)
{
	struct window w = window_unpack(atomic_load_explicit(&b->window, memory_order_relaxed));
	uint32_t index = index_of(now);

	share_in(mine, index);
	mine->good += mine->good < COUNT_MAX;
	if (w.index != index || w.failed == 0)
		return;
	window_add(b, index, mine->good, 0);
	mine->good = 0;
}

/* Whether half of a sufficient number has failed. */
static bool count_failed(struct breaker *b, struct breaker_share *mine, int64_t now)
{
	uint32_t index = index_of(now);
	struct window w;

	share_in(mine, index);
	w = window_add(b, index, mine->good, 1);
	mine->good = 0;
	return w.total >= BREAKER_WINDOW_MIN && w.failed * 2 >= w.total;
}

/* ---- the end of a try ------------------------------------------------------------------------------- */

static bool probe_ended(struct breaker *b, enum breaker_result result, int64_t now)
{
	uint64_t w = atomic_load_explicit(&b->gate, memory_order_relaxed);
	struct gate g;
	bool changed;

	do {
		g = unpack(w);
		changed = false;
		if (result == BREAKER_NOTHING)
			g.probing = false;
		else
			changed = apply(&g, result == BREAKER_OK ? EV_PROBE_OK : EV_PROBE_FAILED, now);
	} while (!swap(b, &w, &g));
	if (changed && g.state == BREAKER_CLOSED)
		atomic_store(&b->window, 0);
	return changed;
}

static bool good(struct breaker *b, struct breaker_share *mine, int64_t now)
{
	uint64_t w = atomic_load_explicit(&b->gate, memory_order_relaxed);
	struct gate g = unpack(w);

	if (g.state == BREAKER_CLOSED)
		count_good(b, mine, now);
	while (g.state == BREAKER_CLOSED && g.consecutive > 0) {
		g.consecutive = 0;
		apply(&g, EV_GOOD, now);
		if (swap(b, &w, &g))
			break;
		g = unpack(w);
	}
	return false;
}

static bool failed(struct breaker *b, struct breaker_share *mine, int64_t now)
{
	uint64_t w = atomic_load_explicit(&b->gate, memory_order_relaxed);
	struct gate g = unpack(w);
	bool share, changed;

	if (g.state != BREAKER_CLOSED)
		return false;
	share = count_failed(b, mine, now);
	do {
		g = unpack(w);
		if (g.state != BREAKER_CLOSED)
			return false;
		g.consecutive += g.consecutive < 255;
		changed = (share || g.consecutive >= BREAKER_CONSECUTIVE) && apply(&g, EV_TRIP, now);
	} while (!swap(b, &w, &g));
	return changed;
}

bool breaker_end(struct breaker *b, struct breaker_share *mine, bool probe, enum breaker_result result,
    int64_t now)
{
	if (probe)
		return probe_ended(b, result, now);
	switch (result) {
	case BREAKER_OK:
		return good(b, mine, now);
	case BREAKER_FAILED:
		return failed(b, mine, now);
	default:
		return false;
	}
}
