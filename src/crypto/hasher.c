#include "crypto/hasher.h"

#include <pthread.h>
#include <stdatomic.h>
#include <sys/resource.h>

#include "base/heap.h"
#include "base/rnd.h"
#include "base/secret.h"
#include "base/thread.h"

#define NICE 10

/* What one caller wants; lives on its stack while it waits. */
struct task {
	struct task *next;
	struct password_params params;
	struct str password, phc;
	char *out;  /* a new hash is wanted here; else phc is verified, or the dummy when it is empty */
	bool weaker;
	bool done;
	enum err e;
	pthread_cond_t finished;
};

struct hasher {
	pthread_mutex_t mu; /* guards all below; the atomics are written under it */
	struct password_params params;
	pthread_cond_t work;
	struct task *head, **tail;
	atomic_size_t inside; /* waiting or being hashed */
	size_t room;          /* of inside */
	bool stop;
	int nthreads;
	pthread_t threads[];
};

static enum err hash(const struct task *t)
{
	unsigned char salt[16];
	enum err e;

	rnd_bytes(salt, sizeof salt);
	e = password_hash(t->password, &t->params, salt, t->out);
	secret_wipe(salt, sizeof salt);
	return e;
}

static enum err perform(struct task *t)
{
	if (t->out != NULL)
		return hash(t);
	return t->phc.n > 0 ? password_verify(t->password, t->phc, &t->params, &t->weaker) :
	    password_verify_dummy(t->password, &t->params);
}

static struct task *next_task(struct hasher *h)
{
	struct task *t;

	while (h->head == NULL && !h->stop)
		pthread_cond_wait(&h->work, &h->mu);
	t = h->head;
	if (t == NULL)
		return NULL;
	h->head = t->next;
	if (h->head == NULL)
		h->tail = &h->head;
	return t;
}

static void *thread_main(void *arg)
{
	struct hasher *h = arg;
	struct task *t;

	/* of this thread alone (sched(7), "The nice value"); without it the hashes are right as well */
	(void)setpriority(PRIO_PROCESS, 0, NICE);
	pthread_mutex_lock(&h->mu);
	while ((t = next_task(h)) != NULL) {
		pthread_mutex_unlock(&h->mu);
		t->e = perform(t);
		pthread_mutex_lock(&h->mu);
		t->done = true;
		atomic_fetch_sub_explicit(&h->inside, 1, memory_order_relaxed);
		pthread_cond_signal(&t->finished);
	}
	pthread_mutex_unlock(&h->mu);
	return NULL;
}

static enum err start(struct hasher *h, int threads)
{
	while (h->nthreads < threads &&
	    thread_start(&h->threads[h->nthreads], "hash", thread_main, h) == OK)
		h->nthreads++;
	return h->nthreads == threads ? OK : E_NOMEM;
}

enum err hasher_new(const struct password_params *p, int threads, size_t queue, struct hasher **out)
{
	size_t n = threads > 0 ? (size_t)threads : 1;
	struct hasher *h = heap_zalloc(sizeof *h + n * sizeof *h->threads);

	if (h == NULL)
		return E_NOMEM;
	h->params = *p;
	h->room = n + queue;
	h->tail = &h->head;
	pthread_mutex_init(&h->mu, NULL);
	pthread_cond_init(&h->work, NULL);
	if (start(h, (int)n) != OK) {
		hasher_free(h);
		return E_NOMEM;
	}
	*out = h;
	return OK;
}

void hasher_configure(struct hasher *h, const struct password_params *p)
{
	pthread_mutex_lock(&h->mu);
	h->params = *p;
	pthread_mutex_unlock(&h->mu);
}

void hasher_free(struct hasher *h)
{
	if (h == NULL)
		return;
	pthread_mutex_lock(&h->mu);
	h->stop = true;
	pthread_cond_broadcast(&h->work);
	pthread_mutex_unlock(&h->mu);
	for (; h->nthreads > 0; h->nthreads--)
		pthread_join(h->threads[h->nthreads - 1], NULL);
	pthread_cond_destroy(&h->work);
	pthread_mutex_destroy(&h->mu);
	heap_free(h);
}

static enum err have_done(struct hasher *h, struct task *t)
{
	if (hasher_full(h)) /* without the lock: an overload is refused for next to nothing */
		return E_OVERLOADED;
	pthread_cond_init(&t->finished, NULL);
	pthread_mutex_lock(&h->mu);
	if (hasher_full(h)) {
		t->e = E_OVERLOADED;
	} else {
		atomic_fetch_add_explicit(&h->inside, 1, memory_order_relaxed);
		t->params = h->params;
		*h->tail = t;
		h->tail = &t->next;
		pthread_cond_signal(&h->work);
		while (!t->done)
			pthread_cond_wait(&t->finished, &h->mu);
	}
	pthread_mutex_unlock(&h->mu);
	pthread_cond_destroy(&t->finished);
	return t->e;
}

enum err hasher_hash(struct hasher *h, struct str password, char phc[PASSWORD_PHC_LEN])
{
	struct task t = { .password = password, .out = phc };

	return have_done(h, &t);
}

enum err hasher_verify(struct hasher *h, struct str password, struct str phc, bool *weaker)
{
	struct task t = { .password = password, .phc = phc };
	enum err e = have_done(h, &t);

	if (weaker != NULL)
		*weaker = t.weaker;
	return e;
}

static size_t inside(const struct hasher *h)
{
	return atomic_load_explicit(&h->inside, memory_order_relaxed);
}

size_t hasher_waiting(const struct hasher *h)
{
	size_t n = inside(h);

	return n > (size_t)h->nthreads ? n - (size_t)h->nthreads : 0;
}

bool hasher_full(const struct hasher *h)
{
	return inside(h) >= h->room;
}
