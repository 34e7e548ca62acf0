#include "store/rqlite_call.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/heap.h"
#include "base/rnd.h"
#include "store/rqlite_wire.h"
#include "store/store.h"

#define ATTEMPT_MIN (2500 * CLOCK_MS) /* a node that says nothing for so long is left */
#define PAUSE_MIN (4 * CLOCK_MS)
#define PAUSE_MAX (200 * CLOCK_MS)
#define FORWARD_FOR (5 * CLOCK_SEC)

/* ---- nodes --------------------------------------------------------------------------------- */

static bool same_node(const char *node, struct str url)
{
	return str_ieq(str_c(node), url);
}

/* The index of the node, which is added when it is new and there is room. */
static size_t node_index(struct rqlite_nodes *ns, struct str url)
{
	size_t i, n;

	pthread_mutex_lock(&ns->lock);
	n = ns->n;
	for (i = 0; i < n && !same_node(ns->node[i], url); i++)
		;
	if (i == n && n < RQLITE_NODES_MAX && (ns->node[n] = heap_alloc(url.n + 1)) != NULL) {
		memcpy(ns->node[n], url.p, url.n);
		ns->node[n][url.n] = '\0';
		ns->n = n + 1;
	}
	n = ns->n;
	pthread_mutex_unlock(&ns->lock);
	return i < n ? i : 0;
}

/* "http://host:port/db/..." -> "http://host:port"; STR_NONE when it is no such URL. */
static struct str url_base(struct str url)
{
	struct str host;
	size_t scheme = str_starts(url, STR("http://")) ? 7 : str_starts(url, STR("https://")) ? 8 : 0;

	if (scheme == 0)
		return STR_NONE;
	host = str_cut(str_skip(url, scheme), '/', &(struct str){ 0 });
	return host.n > 0 ? str_n(url.p, scheme + host.n) : STR_NONE;
}

void rqlite_nodes_next(struct rqlite_nodes *ns, atomic_size_t *which, size_t from)
{
	atomic_compare_exchange_strong(which, &from, (from + 1) % ns->n);
}

/* "http://a:4001,http://b:4001" */
static enum err add_nodes(struct rqlite_nodes *ns, struct str list, struct fail *f)
{
	while (list.p != NULL) {
		struct str url = str_trim(str_cut(list, ',', &list));
		struct str base;

		while (url.n > 0 && url.p[url.n - 1] == '/')
			url.n--;
		base = url_base(url);
		if (base.p == NULL || base.n != url.n)
			return fail_set(f, E_CONFIG, "store.url: '%.*s' must be http://HOST:PORT or"
			    " https://HOST:PORT", STR_ARG(url));
		if (ns->n == RQLITE_NODES_MAX)
			return fail_set(f, E_CONFIG, "store.url: more than %d nodes", RQLITE_NODES_MAX);
		if (url.n > 200)
			return fail_set(f, E_CONFIG, "store.url: '%.40s...' is too long", url.p);
		node_index(ns, url);
	}
	return OK;
}

enum err rqlite_nodes_init(struct rqlite_nodes *ns, const struct store_config *c, const char *list,
    struct fail *f)
{
	enum err e;

	*ns = (struct rqlite_nodes){ .timeout_us = c->timeout_us };
	ns->attempt_us = c->timeout_us / 4 > ATTEMPT_MIN ? c->timeout_us / 4 : ATTEMPT_MIN;
	pthread_mutex_init(&ns->lock, NULL);
	e = add_nodes(ns, str_c(list), f);
	if (e == OK && http_pool_new(&ns->http, c->ca, c->cert, c->key, &ns->stop) != OK)
		e = fail_set(f, E_NOMEM, "%s", "");
	return e;
}

void rqlite_nodes_release(struct rqlite_nodes *ns)
{
	http_pool_free(ns->http);
	for (size_t i = 0; i < ns->n; i++)
		heap_free(ns->node[i]);
	pthread_mutex_destroy(&ns->lock);
}

/* ---- a call -------------------------------------------------------------------------------- */

void rqlite_call_init(struct rqlite_call *c, struct rqlite_nodes *ns)
{
	*c = (struct rqlite_call){ .nodes = ns, .deadline = clock_mono() + ns->timeout_us,
		.pause = PAUSE_MIN };
	buf_init(&c->answer.body, RQLITE_BODY_MAX);
}

void rqlite_call_release(struct rqlite_call *c)
{
	buf_release(&c->answer.body);
}

bool rqlite_call_over(const struct rqlite_call *c)
{
	return c->nodes->stop || clock_mono() >= c->deadline;
}

void rqlite_call_pause(struct rqlite_call *c)
{
	uint16_t dice;
	int64_t us;

	rnd_bytes(&dice, sizeof dice);
	us = c->pause / 2 + c->pause * dice / 0x20000;
	c->pause = c->pause * 2 < PAUSE_MAX ? c->pause * 2 : PAUSE_MAX;
	nanosleep(&(struct timespec){ us / CLOCK_SEC, us % CLOCK_SEC * 1000 }, NULL);
}

/* ---- attempts ------------------------------------------------------------------------------ */

/* One request to one node. *which: the node to try, changed when it does not answer or when it says
 * who leads. HTTP_NOT_SENT also for a redirect: nothing was done yet. */
static enum http_result attempt(struct rqlite_call *c, atomic_size_t *which, const char *path,
    struct str body, struct fail *f)
{
	struct rqlite_nodes *ns = c->nodes;
	bool forward = which != &ns->leader || clock_mono() < ns->forward_until;
	int64_t left = c->deadline - clock_mono();
	size_t at = *which % ns->n;
	struct str leader;
	char url[512];
	enum http_result res;

	snprintf(url, sizeof url, "%s%s%s", ns->node[at], path, forward ? "" : "&redirect");
	res = http_post(ns->http, url, body, left < ns->attempt_us ? left : ns->attempt_us, &c->answer, f);
	if (res != HTTP_ANSWERED) {
		rqlite_nodes_next(ns, which, at);
		return res;
	}
	if (c->answer.version[0] != '\0')
		ns->linearizable = wire_has_linearizable(str_c(c->answer.version));
	if (c->answer.status != 301 && c->answer.status != 307 && c->answer.status != 308)
		return HTTP_ANSWERED;
	leader = url_base(str_c(c->answer.location));
	if (leader.p != NULL)
		*which = node_index(ns, leader);
	else
		rqlite_nodes_next(ns, which, at);
	fail_set(f, E_STORE_UNAVAILABLE, "%s: redirected to '%s'", ns->node[at], c->answer.location);
	return HTTP_NOT_SENT;
}

/* Follows one redirect at once, and sees whether the address is any good. */
enum http_result rqlite_call_leader(struct rqlite_call *c, const char *path, struct str body,
    struct fail *f)
{
	struct rqlite_nodes *ns = c->nodes;
	enum http_result res = attempt(c, &ns->leader, path, body, f);

	if (res != HTTP_NOT_SENT || c->answer.location[0] == '\0')
		return res;
	res = attempt(c, &ns->leader, path, body, f);
	if (res == HTTP_NOT_SENT && c->answer.location[0] == '\0')
		ns->forward_until = clock_mono() + FORWARD_FOR;
	return res;
}

enum err rqlite_call_ask(struct rqlite_call *c, bool leader, const char *path, struct str body, size_t n,
    struct arena *a, struct store_rows *out, struct fail *f)
{
	struct rqlite_nodes *ns = c->nodes;
	enum err e = E_STORE_UNAVAILABLE;
	enum http_result res;
	bool again = true;

	for (;;) {
		size_t at = leader ? ns->leader : ns->nearest;

		res = leader ? rqlite_call_leader(c, path, body, f) :
		    attempt(c, &ns->nearest, path, body, f);
		if (res == HTTP_ANSWERED) {
			e = wire_read_rows(c->answer.status, buf_str(&c->answer.body), n, a, out,
			    &again, f);
			if (e == OK || !again)
				return e;
			rqlite_nodes_next(ns, leader ? &ns->leader : &ns->nearest, at);
		}
		if (rqlite_call_over(c))
			return E_STORE_UNAVAILABLE;
		rqlite_call_pause(c);
	}
}
