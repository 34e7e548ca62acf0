/* One key of a NATS key-value bucket, read on demand. A server that is away is waited for without
 * end by libnats; reads fail meanwhile. Thread-safe. */
#ifndef ROUTING_NATS_SOURCE_H
#define ROUTING_NATS_SOURCE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"

struct nats_source;

/* Which value it was: a bucket that was made anew counts from 1 again, so the time counts too. */
struct nats_value_id {
	uint64_t revision;
	int64_t created; /* nanoseconds, by the server's clock */
};

/* place: BUCKET/KEY. E_CONFIG when it or the URL is none. Does not wait for the server. */
enum err nats_source_new(const char *url, struct str place, struct nats_source **out,
    struct fail *f);
void nats_source_free(struct nats_source *n);
/* Waits for the connection, at most that long. */
bool nats_source_wait(struct nats_source *n, int64_t timeout_us);
/* Appends the value to out (may be NULL). E_NOT_FOUND: no such bucket or key, or it was deleted.
 * E_STORE_UNAVAILABLE: the server did not answer within a second. */
enum err nats_source_get(struct nats_source *n, struct nats_value_id *id, struct buf *out,
    struct fail *f);

#endif
