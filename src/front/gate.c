#include "front/gate.h"

#include <stdatomic.h>
#include <stdint.h>

#include "base/heap.h"

#define CACHE_LINE 64
#define KEPT_MAX 16 /* this part of the limit, of all workers together */
#define NO_LIMIT (INT64_MAX / 2)

struct gate {
	_Alignas(CACHE_LINE) _Atomic int64_t left; /* below 0: the limit was lowered meanwhile */
	_Alignas(CACHE_LINE) _Atomic int64_t max;  /* rarely written */
	_Atomic size_t step;                       /* taken at once; a worker keeps at most twice that */
	size_t workers;
};

static size_t step_of(int64_t max, size_t workers)
{
	size_t n = (size_t)max / KEPT_MAX / workers / 2;

	return n < 64 ? n : 64;
}

enum err gate_new(size_t max, size_t workers, struct gate **out)
{
	struct gate *g = heap_aligned(CACHE_LINE, sizeof *g);

	if (g == NULL)
		return E_NOMEM;
	g->workers = workers;
	g->left = g->max = 0;
	gate_set(g, max);
	*out = g;
	return OK;
}

void gate_free(struct gate *g)
{
	heap_free(g);
}

void gate_set(struct gate *g, size_t max)
{
	int64_t now = max > 0 ? (int64_t)max : NO_LIMIT, was = atomic_exchange(&g->max, now);

	g->step = step_of(now, g->workers);
	atomic_fetch_add(&g->left, now - was);
}

/* Up to n of what is left; 0: nothing is. */
static size_t take(struct gate *g, size_t n)
{
	int64_t left = atomic_load_explicit(&g->left, memory_order_relaxed), k;

	do {
		k = left < (int64_t)n ? left : (int64_t)n;
		if (k <= 0)
			return 0;
	} while (!atomic_compare_exchange_weak_explicit(&g->left, &left, left - k, memory_order_relaxed,
	    memory_order_relaxed));
	return (size_t)k;
}

bool gate_enter(struct gate_share *s)
{
	if (s->kept == 0)
		s->kept = take(s->gate, atomic_load_explicit(&s->gate->step, memory_order_relaxed) + 1);
	if (s->kept == 0)
		return false;
	s->kept--;
	s->inside++;
	return true;
}

void gate_leave(struct gate_share *s)
{
	size_t step = atomic_load_explicit(&s->gate->step, memory_order_relaxed);

	s->inside--;
	if (++s->kept <= 2 * step)
		return;
	atomic_fetch_add_explicit(&s->gate->left, (int64_t)(s->kept - step), memory_order_relaxed);
	s->kept = step;
}
