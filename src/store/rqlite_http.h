/* HTTP to rqlite: a pool of libcurl handles that keep their connections. No retries, no meaning.
 * Blocks; any thread. */
#ifndef STORE_RQLITE_HTTP_H
#define STORE_RQLITE_HTTP_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"

struct http_pool;

struct http_answer {
	int status;
	struct buf body;    /* the caller's: buf_init before, buf_release after */
	char location[256]; /* of a redirect; empty when there is none or it is too long */
	char version[32];   /* X-Rqlite-Version */
};

enum http_result {
	HTTP_ANSWERED,
	HTTP_NOT_SENT, /* no connection was made */
	HTTP_LOST,     /* the request may have been read, the answer was not */
};

/* ca, cert, key: PEM files or NULL. `stop` set ends requests under way. */
enum err http_pool_new(struct http_pool **p, const char *ca, const char *cert, const char *key,
    atomic_bool *stop);
void http_pool_free(struct http_pool *p);

/* POSTs JSON to url; waits at most timeout_us. f->text says what went wrong. */
enum http_result http_post(struct http_pool *p, const char *url, struct str json,
    int64_t timeout_us, struct http_answer *out, struct fail *f);

#endif
