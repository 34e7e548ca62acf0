#include "base/pool.h"

#include <pthread.h>
#include <stdbool.h>

#include "base/heap.h"
#include "base/thread.h"

struct pool {
	pthread_mutex_t mu; /* guards all below */
	pthread_cond_t work;
	struct pool_job *head, **tail;
	size_t waiting, max_queue;
	bool stop;    /* end when the queue is empty */
	bool stopped; /* no thread is left */
	int nthreads;
	pthread_t threads[];
};

static void *thread_main(void *arg)
{
	struct pool *p = arg;

	pthread_mutex_lock(&p->mu);
	for (;;) {
		struct pool_job *j = p->head;

		if (j == NULL) {
			if (p->stop)
				break;
			pthread_cond_wait(&p->work, &p->mu);
			continue;
		}
		p->head = j->next;
		if (p->head == NULL)
			p->tail = &p->head;
		p->waiting--;
		pthread_mutex_unlock(&p->mu);
		j->run(j);
		pthread_mutex_lock(&p->mu);
	}
	pthread_mutex_unlock(&p->mu);
	return NULL;
}

enum err pool_new(struct pool **out, const char *name, int threads, size_t max_queue)
{
	struct pool *p = heap_zalloc(sizeof *p + (size_t)threads * sizeof *p->threads);

	if (p == NULL)
		return E_NOMEM;
	pthread_mutex_init(&p->mu, NULL);
	pthread_cond_init(&p->work, NULL);
	p->tail = &p->head;
	p->max_queue = max_queue;
	while (p->nthreads < threads &&
	    thread_start(&p->threads[p->nthreads], name, thread_main, p) == OK)
		p->nthreads++;
	if (p->nthreads < threads) {
		pool_free(p);
		return E_NOMEM;
	}
	*out = p;
	return OK;
}

void pool_stop(struct pool *p)
{
	pthread_mutex_lock(&p->mu);
	p->stop = true;
	pthread_cond_broadcast(&p->work);
	pthread_mutex_unlock(&p->mu);
	for (; p->nthreads > 0; p->nthreads--)
		pthread_join(p->threads[p->nthreads - 1], NULL);
	pthread_mutex_lock(&p->mu);
	p->stopped = true;
	pthread_mutex_unlock(&p->mu);
}

void pool_free(struct pool *p)
{
	if (p == NULL)
		return;
	pool_stop(p);
	pthread_cond_destroy(&p->work);
	pthread_mutex_destroy(&p->mu);
	heap_free(p);
}

static enum err submit(struct pool *p, struct pool_job *j, bool always)
{
	enum err e = E_OVERLOADED;

	j->next = NULL;
	pthread_mutex_lock(&p->mu);
	if (!p->stopped && (always || p->waiting < p->max_queue)) {
		*p->tail = j;
		p->tail = &j->next;
		p->waiting++;
		pthread_cond_signal(&p->work);
		e = OK;
	}
	pthread_mutex_unlock(&p->mu);
	return e;
}

enum err pool_submit(struct pool *p, struct pool_job *j)
{
	return submit(p, j, false);
}

enum err pool_submit_always(struct pool *p, struct pool_job *j)
{
	return submit(p, j, true);
}

size_t pool_waiting(struct pool *p)
{
	size_t n;

	pthread_mutex_lock(&p->mu);
	n = p->waiting;
	pthread_mutex_unlock(&p->mu);
	return n;
}
