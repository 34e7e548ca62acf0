#include "upstream/resolver.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <stdbool.h>
#include <sys/socket.h>

#include "base/heap.h"
#include "base/loop.h"
#include "base/pool.h"

/* What is known of one name. Lives as long as the resolver: names come from routing documents and are
 * few. */
struct name {
	struct name *next;
	struct resolver *r;
	char *host;
	struct addresses known; /* n == 0: nothing yet */
	int64_t renew;          /* when to ask again */
	bool asking;
	struct resolver_wait *waiting;
	/* the question, the pool's from submit until msg comes back */
	struct pool_job job;
	struct loop_msg msg;
	struct addresses answer;
};

struct resolver {
	struct loop *loop;
	struct pool *pool;
	struct name *names;
};

enum err resolver_new(struct loop *loop, struct resolver **out)
{
	struct resolver *r = heap_zalloc(sizeof *r);

	if (r == NULL)
		return E_NOMEM;
	r->loop = loop;
	*out = r;
	return OK;
}

void resolver_free(struct resolver *r)
{
	if (r == NULL)
		return;
	if (r->pool != NULL) {
		pool_free(r->pool);
		loop_drain(r->loop); /* the answers that it posted */
	}
	while (r->names != NULL) {
		struct name *nm = r->names;

		r->names = nm->next;
		heap_free(nm->host);
		heap_free(nm);
	}
	heap_free(r);
}

static bool numeric(struct str host, struct addresses *as)
{
	struct sockaddr_in *v4 = (struct sockaddr_in *)&as->a[0];
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&as->a[0];
	char z[INET6_ADDRSTRLEN];

	if (host.n >= sizeof z)
		return false;
	memcpy(z, host.p, host.n);
	z[host.n] = '\0';
	as->n = 1;
	as->a[0] = (struct sockaddr_storage){ .ss_family = AF_INET };
	if (inet_pton(AF_INET, z, &v4->sin_addr) == 1)
		return true;
	as->a[0] = (struct sockaddr_storage){ .ss_family = AF_INET6 };
	return inet_pton(AF_INET6, z, &v6->sin6_addr) == 1;
}

/* ---- on the pool's thread ---------------------------------------------------------------------- */

static void ask_job(struct pool_job *j)
{
	struct name *nm = (struct name *)((char *)j - offsetof(struct name, job));
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG };
	struct addrinfo *list = NULL;

	nm->answer.n = 0;
	if (getaddrinfo(nm->host, NULL, &hints, &list) == 0) {
		for (struct addrinfo *ai = list; ai != NULL; ai = ai->ai_next)
			if (nm->answer.n < RESOLVER_ADDRESSES && ai->ai_addrlen <= sizeof nm->answer.a[0])
				memcpy(&nm->answer.a[nm->answer.n++], ai->ai_addr, ai->ai_addrlen);
		freeaddrinfo(list);
	}
	loop_post(nm->r->loop, &nm->msg);
}

/* ---- on the worker ----------------------------------------------------------------------------- */

static void ask_cb(struct loop_msg *m)
{
	struct name *nm = (struct name *)((char *)m - offsetof(struct name, msg));
	struct resolver_wait *waiting = nm->waiting;
	bool found = nm->answer.n > 0;

	nm->asking = false;
	nm->waiting = NULL;
	nm->renew = loop_now(nm->r->loop) + (found ? RESOLVER_FRESH : RESOLVER_FAILED);
	if (found)
		nm->known = nm->answer;
	while (waiting != NULL) {
		struct resolver_wait *w = waiting;

		waiting = w->next;
		w->next = NULL;
		w->cb(w, nm->known.n > 0 ? OK : E_UPSTREAM_FAILED, &nm->known);
	}
}

static enum err ask(struct name *nm)
{
	enum err e = nm->r->pool != NULL ? OK : pool_new(&nm->r->pool, "resolver", 1, 1024);

	if (e == OK)
		e = pool_submit(nm->r->pool, &nm->job);
	nm->asking = e == OK;
	return e;
}

static struct name *find(struct resolver *r, struct str host)
{
	struct name *nm = r->names;

	while (nm != NULL && !str_eqc(host, nm->host))
		nm = nm->next;
	if (nm != NULL)
		return nm;
	nm = heap_zalloc(sizeof *nm);
	if (nm == NULL)
		return NULL;
	nm->host = heap_alloc(host.n + 1);
	if (nm->host == NULL) {
		heap_free(nm);
		return NULL;
	}
	memcpy(nm->host, host.p, host.n);
	nm->host[host.n] = '\0';
	nm->r = r;
	nm->job.run = ask_job;
	nm->msg.cb = ask_cb;
	nm->next = r->names;
	r->names = nm;
	return nm;
}

void resolver_lookup(struct resolver *r, struct str host, struct resolver_wait *w)
{
	struct addresses as;
	struct name *nm;
	bool due;

	w->next = NULL;
	if (numeric(host, &as)) {
		w->cb(w, OK, &as);
		return;
	}
	nm = find(r, host);
	if (nm == NULL) {
		w->cb(w, E_UPSTREAM_FAILED, NULL);
		return;
	}
	due = !nm->asking && loop_now(r->loop) >= nm->renew;
	if (due)
		(void)ask(nm); /* when it can't, what is known decides */
	if (nm->known.n > 0) {
		w->cb(w, OK, &nm->known);
	} else if (!nm->asking) {
		w->cb(w, E_UPSTREAM_FAILED, NULL);
	} else {
		w->next = nm->waiting;
		nm->waiting = w;
	}
}

void resolver_cancel(struct resolver *r, struct resolver_wait *w)
{
	for (struct name *nm = r->names; nm != NULL; nm = nm->next)
		for (struct resolver_wait **p = &nm->waiting; *p != NULL; p = &(*p)->next)
			if (*p == w) {
				*p = w->next;
				return;
			}
}
