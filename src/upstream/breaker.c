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

static void enter_open(struct breaker *b, int64_t now)
{
	b->backoff = b->backoff == 0 ? BREAKER_BACKOFF_MIN : b->backoff * 2;
	if (b->backoff > BREAKER_BACKOFF_MAX)
		b->backoff = BREAKER_BACKOFF_MAX;
	b->until = now + b->backoff;
}

static void enter_closed(struct breaker *b, int64_t now)
{
	b->consecutive = b->total = b->failed = 0;
	b->window = now;
	b->backoff = 0;
}

static bool apply(struct breaker *b, enum event ev, int64_t now)
{
	enum breaker_state to = next[b->state][ev];

	if (to == b->state)
		return false;
	b->state = to;
	b->probing = false;
	if (to == BREAKER_OPEN)
		enter_open(b, now);
	else if (to == BREAKER_CLOSED)
		enter_closed(b, now);
	return true;
}

bool breaker_allows(const struct breaker *b, int64_t now)
{
	switch (b->state) {
	case BREAKER_OPEN:
		return now >= b->until;
	case BREAKER_HALF_OPEN:
		return !b->probing;
	default:
		return true;
	}
}

bool breaker_start(struct breaker *b, int64_t now)
{
	if (b->state == BREAKER_OPEN && now >= b->until)
		apply(b, EV_DUE, now);
	if (b->state != BREAKER_HALF_OPEN || b->probing)
		return false;
	b->probing = true;
	return true;
}

/* Counts a result of the closed state; returns whether it is time to open. */
static bool count(struct breaker *b, bool failed, int64_t now)
{
	if (now - b->window >= BREAKER_WINDOW) {
		b->window = now;
		b->total = b->failed = 0;
	}
	b->total++;
	if (!failed) {
		b->consecutive = 0;
		return false;
	}
	b->failed++;
	b->consecutive++;
	return b->consecutive >= BREAKER_CONSECUTIVE ||
	    (b->total >= BREAKER_WINDOW_MIN && b->failed * 2 >= b->total);
}

bool breaker_end(struct breaker *b, bool probe, enum breaker_result result, int64_t now)
{
	if (result == BREAKER_NOTHING) {
		if (probe)
			b->probing = false;
		return false;
	}
	if (probe)
		return apply(b, result == BREAKER_OK ? EV_PROBE_OK : EV_PROBE_FAILED, now);
	if (b->state != BREAKER_CLOSED)
		return false;
	return apply(b, count(b, result == BREAKER_FAILED, now) ? EV_TRIP : EV_GOOD, now);
}
