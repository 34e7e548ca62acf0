#include "routing/compactor.h"

#include <pthread.h>
#include <sys/resource.h>

#include "base/heap.h"
#include "base/log.h"
#include "base/thread.h"
#include "routing/store_source.h"
#include "routing/table.h"

#define PATCHED_MIN ((size_t)256 << 10) /* bytes of patches that are never too many */
#define PART 4                          /* nor is the PARTth of the whole document */
#define LOWEST 19                       /* nice */

struct route_compactor {
	struct store *store;
	pthread_t thread;
	pthread_mutex_t lock; /* what follows */
	pthread_cond_t wake;
	struct route_table *offered; /* the newest; NULL: nothing to do */
	int64_t done;                /* the last revision that got a whole document here */
	struct route_origin done_origin;
	bool stop;
};

/* With the lock held. */
static bool is_long(const struct route_compactor *c, const struct route_table *t)
{
	const struct route_origin *o = route_table_origin(t);
	size_t limit = o->whole / PART > PATCHED_MIN ? o->whole / PART : PATCHED_MIN;
	size_t patched = o->patched;

	/* tables in force go on counting from the whole document that they were made from */
	if (o->base == c->done_origin.base && route_table_revision(t) >= c->done)
		patched -= c->done_origin.patched;
	return patched > limit;
}

void route_compactor_offer(struct route_compactor *c, struct route_table *t)
{
	struct route_table *old = NULL;

	pthread_mutex_lock(&c->lock);
	if (is_long(c, t)) {
		old = c->offered;
		c->offered = route_table_ref(t);
		pthread_cond_signal(&c->wake);
	}
	pthread_mutex_unlock(&c->lock);
	route_table_unref(old);
}

static void compact(struct route_compactor *c, struct route_table *t)
{
	const struct route_origin *o = route_table_origin(t);
	int64_t last = c->done > o->base ? c->done : o->base; /* only this thread writes to done */
	struct fail f = { 0 };
	bool written = false;
	enum err e = route_snapshot_write(c->store, t, last, &written, &f);

	if (e != OK)
		log_fail("the routing document could not be stored whole; a later change tries again", &f);
	else if (written)
		log_debug("the routing document is stored whole", LOG_I("revision", route_table_revision(t)));
	fail_clear(&f);
	pthread_mutex_lock(&c->lock);
	c->done = route_table_revision(t);
	c->done_origin = *o;
	pthread_mutex_unlock(&c->lock);
}

static void *thread_main(void *arg)
{
	struct route_compactor *c = arg;
	struct route_table *t;
	bool wanted;

	(void)setpriority(PRIO_PROCESS, 0, LOWEST); /* on Linux: of this thread */
	pthread_mutex_lock(&c->lock);
	while (!c->stop) {
		t = c->offered;
		c->offered = NULL;
		if (t == NULL) {
			pthread_cond_wait(&c->wake, &c->lock);
			continue;
		}
		wanted = is_long(c, t); /* still, if it was offered while another was written */
		pthread_mutex_unlock(&c->lock);
		if (wanted)
			compact(c, t);
		route_table_unref(t);
		pthread_mutex_lock(&c->lock);
	}
	pthread_mutex_unlock(&c->lock);
	return NULL;
}

enum err route_compactor_new(struct store *s, struct route_compactor **out)
{
	struct route_compactor *c = heap_zalloc(sizeof *c);
	enum err e;

	if (c == NULL)
		return E_NOMEM;
	c->store = s;
	pthread_mutex_init(&c->lock, NULL);
	pthread_cond_init(&c->wake, NULL);
	e = thread_start(&c->thread, "compactor", thread_main, c);
	if (e != OK) {
		pthread_mutex_destroy(&c->lock);
		pthread_cond_destroy(&c->wake);
		heap_free(c);
		return e;
	}
	*out = c;
	return OK;
}

void route_compactor_free(struct route_compactor *c)
{
	if (c == NULL)
		return;
	pthread_mutex_lock(&c->lock);
	c->stop = true;
	pthread_cond_signal(&c->wake);
	pthread_mutex_unlock(&c->lock);
	pthread_join(c->thread, NULL);
	route_table_unref(c->offered);
	pthread_mutex_destroy(&c->lock);
	pthread_cond_destroy(&c->wake);
	heap_free(c);
}
