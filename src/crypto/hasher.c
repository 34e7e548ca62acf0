#include "crypto/hasher.h"

#include <pthread.h>

#include "base/heap.h"
#include "base/rnd.h"
#include "base/secret.h"

struct hasher {
	struct password_params params;
	pthread_mutex_t mu;
	pthread_cond_t free_slot;
	int slots;            /* that are free */
	size_t waiting, queue;
};

enum err hasher_new(const struct password_params *p, int threads, size_t queue, struct hasher **out)
{
	struct hasher *h = heap_zalloc(sizeof *h);

	if (h == NULL)
		return E_NOMEM;
	h->params = *p;
	h->slots = threads > 0 ? threads : 1;
	h->queue = queue;
	pthread_mutex_init(&h->mu, NULL);
	pthread_cond_init(&h->free_slot, NULL);
	*out = h;
	return OK;
}

void hasher_free(struct hasher *h)
{
	if (h == NULL)
		return;
	pthread_cond_destroy(&h->free_slot);
	pthread_mutex_destroy(&h->mu);
	heap_free(h);
}

static enum err enter(struct hasher *h)
{
	enum err e = OK;

	pthread_mutex_lock(&h->mu);
	if (h->slots == 0 && h->waiting >= h->queue) {
		e = E_OVERLOADED;
	} else {
		h->waiting++;
		while (h->slots == 0)
			pthread_cond_wait(&h->free_slot, &h->mu);
		h->waiting--;
		h->slots--;
	}
	pthread_mutex_unlock(&h->mu);
	return e;
}

static void leave(struct hasher *h)
{
	pthread_mutex_lock(&h->mu);
	h->slots++;
	pthread_cond_signal(&h->free_slot);
	pthread_mutex_unlock(&h->mu);
}

enum err hasher_hash(struct hasher *h, struct str password, char phc[PASSWORD_PHC_LEN])
{
	unsigned char salt[16];
	enum err e = enter(h);

	if (e != OK)
		return e;
	rnd_bytes(salt, sizeof salt);
	e = password_hash(password, &h->params, salt, phc);
	leave(h);
	secret_wipe(salt, sizeof salt);
	return e;
}

enum err hasher_verify(struct hasher *h, struct str password, struct str phc, bool *weaker)
{
	enum err e = enter(h);

	if (weaker != NULL)
		*weaker = false;
	if (e != OK)
		return e;
	e = phc.n > 0 ? password_verify(password, phc, &h->params, weaker) :
	    password_verify_dummy(password, &h->params);
	leave(h);
	return e;
}

size_t hasher_waiting(const struct hasher *h)
{
	struct hasher *m = (struct hasher *)(uintptr_t)h; /* the lock is no part of its state */
	size_t n;

	pthread_mutex_lock(&m->mu);
	n = m->waiting;
	pthread_mutex_unlock(&m->mu);
	return n;
}
