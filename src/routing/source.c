#include "routing/source.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/heap.h"
#include "base/str.h"
#include "base/thread.h"
#include "routing/nats_source.h"
#include "routing/store_source.h"
#include "routing/table.h"

#define LOOK_US (500 * CLOCK_MS)
#define CONNECT_US (10 * CLOCK_SEC) /* for NATS at start */

/* What a file or a value was when it was last loaded, to see that it is another now. All zero: not
 * there. */
struct version {
	dev_t dev;
	ino_t ino;
	off_t size;
	struct timespec mtime, ctime;
	struct nats_value_id value;
};

struct route_source {
	struct store *store;
	char *path;               /* of file: */
	struct nats_source *nats; /* of nats: */
	pthread_mutex_t lock;     /* what follows */
	pthread_cond_t stop_cond;
	struct version seen;
	int64_t revision; /* the highest that was loaded; nats only */
	bool stop, watching;
	pthread_t thread;
	void (*changed)(void *ctx);
	void *ctx;
};

enum err route_source_new(struct store *s, const char *spec, const char *nats_url,
    struct route_source **out, struct fail *f)
{
	struct route_source *src = heap_zalloc(sizeof *src);

	*out = src;
	if (src == NULL)
		return fail_set(f, E_NOMEM, "out of memory");
	src->store = s;
	pthread_mutex_init(&src->lock, NULL);
	pthread_cond_init(&src->stop_cond, NULL);
	if (strcmp(spec, "store") == 0)
		return OK;
	if (strncmp(spec, "nats:", 5) == 0)
		return nats_source_new(nats_url, str_c(spec + 5), &src->nats, f);
	if (strncmp(spec, "file:", 5) != 0)
		return fail_set(f, E_CONFIG, "routing.source must be store, file:PATH or nats:BUCKET/KEY, "
		    "not %s", spec);
	src->path = heap_strdup(spec + 5);
	return src->path != NULL ? OK : fail_set(f, E_NOMEM, "out of memory");
}

void route_source_free(struct route_source *src)
{
	if (src == NULL)
		return;
	route_source_unwatch(src);
	nats_source_free(src->nats);
	pthread_mutex_destroy(&src->lock);
	pthread_cond_destroy(&src->stop_cond);
	heap_free(src->path);
	heap_free(src);
}

bool route_source_is_store(const struct route_source *src)
{
	return src->path == NULL && src->nats == NULL;
}

static void set_seen(struct route_source *src, const struct version *v)
{
	pthread_mutex_lock(&src->lock);
	src->seen = *v;
	pthread_mutex_unlock(&src->lock);
}

/* ---- reading --------------------------------------------------------------------------------- */

/* place: for the message. The text is used up. */
static enum err build(const char *place, struct buf *text, struct route_table **out, struct fail *f)
{
	enum err e = route_table_read(text->p, text->n, out, f);

	if (e == OK || f == NULL)
		return e == E_BAD_JSON ? E_ROUTING_INVALID : e;
	if (e == E_BAD_JSON)
		f->err = E_ROUTING_INVALID;
	return fail_wrap(f, "%s", place);
}

static struct version version_of(const struct stat *st)
{
	return (struct version){ .dev = st->st_dev, .ino = st->st_ino, .size = st->st_size,
		.mtime = st->st_mtim, .ctime = st->st_ctim };
}

static bool same_time(struct timespec a, struct timespec b)
{
	return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

static bool same(const struct version *a, const struct version *b)
{
	return a->dev == b->dev && a->ino == b->ino && a->size == b->size &&
	    same_time(a->mtime, b->mtime) && same_time(a->ctime, b->ctime) &&
	    a->value.revision == b->value.revision && a->value.created == b->value.created;
}

static enum err read_all(int fd, struct buf *out)
{
	ssize_t n;

	do {
		if (buf_reserve(out, 65536) != OK)
			return E_LIMIT;
		n = read(fd, out->p + out->n, 65536);
		if (n > 0)
			out->n += (size_t)n;
	} while (n > 0 || (n < 0 && errno == EINTR));
	return n == 0 ? OK : E_INTERNAL;
}

static enum err load_file(struct route_source *src, struct route_table **out, struct fail *f)
{
	int fd = open(src->path, O_RDONLY | O_CLOEXEC);
	struct version v = { 0 };
	struct stat st;
	struct buf text;
	enum err e;

	if (fd >= 0 && fstat(fd, &st) == 0)
		v = version_of(&st);
	set_seen(src, &v);
	if (fd < 0)
		return fail_set(f, E_ROUTING_INVALID, "%s: %s", src->path, strerror(errno));
	buf_init(&text, ROUTE_DOCUMENT_MAX);
	e = read_all(fd, &text);
	if (e == OK)
		e = build(src->path, &text, out, f);
	else
		fail_set(f, E_ROUTING_INVALID, "%s: %s", src->path,
		    e == E_LIMIT ? "it is larger than 64 MiB" : strerror(errno));
	close(fd);
	buf_release(&text);
	return e;
}

/* Never back: what a crashed server lost was in force, and is. */
static enum err refuse_older(struct route_source *src, struct route_table **t, struct fail *f)
{
	int64_t now = route_table_revision(*t), was;

	pthread_mutex_lock(&src->lock);
	was = src->revision;
	if (now > was)
		src->revision = now;
	pthread_mutex_unlock(&src->lock);
	if (now >= was)
		return OK;
	route_table_unref(*t);
	*t = NULL;
	return fail_set(f, E_ROUTING_INVALID, "NATS has revision %lld, but %lld is in force: put it "
	    "again under a higher number", (long long)now, (long long)was);
}

/* Whether a document was ever loaded. */
static bool had_one(struct route_source *src)
{
	bool had;

	pthread_mutex_lock(&src->lock);
	had = src->revision > 0;
	pthread_mutex_unlock(&src->lock);
	return had;
}

static enum err load_nats(struct route_source *src, struct route_table **out, struct fail *f)
{
	struct version v = { 0 };
	bool had = had_one(src);
	struct buf text;
	enum err e;

	if (!had && !nats_source_wait(src->nats, CONNECT_US))
		return fail_set(f, E_STORE_UNAVAILABLE, "the routing source: NATS does not answer");
	buf_init(&text, ROUTE_DOCUMENT_MAX);
	e = nats_source_get(src->nats, &v.value, &text, f);
	if (e == OK || e == E_NOT_FOUND)
		set_seen(src, &v);
	if (e == OK)
		e = build("NATS", &text, out, f);
	if (e == OK)
		e = refuse_older(src, out, f);
	if (e == E_NOT_FOUND && !had) {
		fail_clear(f);
		e = route_table_empty(out);
	}
	buf_release(&text);
	return e;
}

enum err route_source_load(struct route_source *src, struct route_table *have,
    struct route_table **out, struct fail *f)
{
	if (src->nats != NULL)
		return load_nats(src, out, f);
	return src->path != NULL ? load_file(src, out, f)
	    : route_revision_follow(src->store, have, out, f);
}

/* ---- watching -------------------------------------------------------------------------------- */

/* False when it can't be said now. */
static bool look(struct route_source *src, struct version *v)
{
	struct stat st;
	enum err e;

	*v = (struct version){ 0 };
	if (src->path != NULL) {
		if (stat(src->path, &st) == 0)
			*v = version_of(&st);
		return true;
	}
	e = nats_source_get(src->nats, &v->value, NULL, NULL);
	return e == OK || e == E_NOT_FOUND;
}

/* True when the watch is to end; waits for the next look otherwise. */
static bool pause_or_stop(struct route_source *src)
{
	struct timespec until;
	bool stop;
	int rc = 0;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_nsec += LOOK_US * 1000;
	until.tv_sec += until.tv_nsec / 1000000000;
	until.tv_nsec %= 1000000000;
	pthread_mutex_lock(&src->lock);
	while (!src->stop && rc == 0)
		rc = pthread_cond_clockwait(&src->stop_cond, &src->lock, CLOCK_MONOTONIC, &until);
	stop = src->stop;
	pthread_mutex_unlock(&src->lock);
	return stop;
}

static bool differs(struct route_source *src, const struct version *v)
{
	bool differs;

	pthread_mutex_lock(&src->lock);
	differs = !same(v, &src->seen);
	pthread_mutex_unlock(&src->lock);
	return differs;
}

static void *watch_main(void *arg)
{
	struct route_source *src = arg;
	struct version v;

	while (!pause_or_stop(src))
		if (look(src, &v) && differs(src, &v))
			src->changed(src->ctx);
	return NULL;
}

enum err route_source_watch(struct route_source *src, void (*changed)(void *ctx), void *ctx)
{
	enum err e;

	if (route_source_is_store(src))
		return OK;
	src->changed = changed;
	src->ctx = ctx;
	e = thread_start(&src->thread, "routing", watch_main, src);
	src->watching = e == OK;
	return e;
}

void route_source_unwatch(struct route_source *src)
{
	if (!src->watching)
		return;
	pthread_mutex_lock(&src->lock);
	src->stop = true;
	pthread_cond_broadcast(&src->stop_cond);
	pthread_mutex_unlock(&src->lock);
	pthread_join(src->thread, NULL);
	src->watching = false;
}
