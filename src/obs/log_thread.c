#include "obs/log_thread.h"

#include <errno.h>
#include <pthread.h>
#include <unistd.h>

#include "base/heap.h"
#include "base/thread.h"

struct log_thread {
	struct loop *loop;
	pthread_t thread;
};

struct barrier {
	struct loop_msg msg;
	pthread_mutex_t mu;
	pthread_cond_t done;
	bool reached;
};

/* Whole, or lost when the other end is gone. */
static void write_page_cb(struct loop_msg *m)
{
	struct log_page *p = (struct log_page *)m;
	struct str left = buf_str(&p->text);

	while (left.n > 0) {
		ssize_t k = write(STDERR_FILENO, left.p, left.n);

		if (k < 0 && errno == EINTR)
			continue;
		if (k <= 0)
			break;
		left = str_skip(left, (size_t)k);
	}
	buf_clear(&p->text);
	atomic_store_explicit(&p->away, false, memory_order_release);
}

static void *thread_main(void *arg)
{
	struct log_thread *t = arg;

	loop_run(t->loop);
	return NULL;
}

enum err log_thread_new(struct log_thread **out)
{
	struct log_thread *t = heap_zalloc(sizeof *t);
	enum err e = t != NULL ? loop_new(&t->loop) : E_NOMEM;

	if (e == OK)
		e = thread_start(&t->thread, "log", thread_main, t);
	if (e != OK) {
		loop_free(t != NULL ? t->loop : NULL);
		heap_free(t);
		return e;
	}
	*out = t;
	return OK;
}

void log_thread_free(struct log_thread *t)
{
	if (t == NULL)
		return;
	log_thread_settle(t);
	loop_stop(t->loop);
	pthread_join(t->thread, NULL);
	loop_free(t->loop);
	heap_free(t);
}

void log_thread_write(struct log_thread *t, struct log_page *p)
{
	atomic_store_explicit(&p->away, true, memory_order_relaxed);
	p->msg.cb = write_page_cb;
	loop_post(t->loop, &p->msg);
}

static void reached_cb(struct loop_msg *m)
{
	struct barrier *b = (struct barrier *)m;

	pthread_mutex_lock(&b->mu);
	b->reached = true;
	pthread_cond_signal(&b->done);
	pthread_mutex_unlock(&b->mu);
}

void log_thread_settle(struct log_thread *t)
{
	struct barrier b = { .msg.cb = reached_cb };

	pthread_mutex_init(&b.mu, NULL);
	pthread_cond_init(&b.done, NULL);
	loop_post(t->loop, &b.msg);
	pthread_mutex_lock(&b.mu);
	while (!b.reached)
		pthread_cond_wait(&b.done, &b.mu);
	pthread_mutex_unlock(&b.mu);
	pthread_cond_destroy(&b.done);
	pthread_mutex_destroy(&b.mu);
}
