/* What the files of this room share of a worker's upstream. */
#ifndef UPSTREAM_STATE_H
#define UPSTREAM_STATE_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/loop.h"
#include "upstream/upstream.h"

struct endpoint;
struct fleet;
struct http2;
struct resolver;
struct shard;
struct tls_buffers;
struct tls_client;

#define UPSTREAM_SCRATCH 65536
#define UPSTREAM_READS 8          /* of that size before other connections get their turn */
#define UPSTREAM_MAX_OUT 131072 /* bytes of one head with a small body */

struct upstream {
	struct upstream_config config;
	struct loop *loop;
	struct fleet *fleet;
	bool own_fleet;
	struct route_table *routes; /* a reference, or NULL */
	struct resolver *resolver;
	struct tls_client *tls; /* a reference, or NULL */
	struct tls_buffers *tls_buffers;
	_Atomic(struct shard *) shards; /* all */
	struct shard *swept;            /* where the sweep goes on */
	pthread_mutex_t records;        /* held while counters are read, and (tried) to free what has them */
	struct shard **buckets;
	size_t nbuckets, nshards;
	struct upstream_call *calls;   /* in use */
	struct upstream_call *recycled;
	size_t nrecycled;
	struct loop_timer sweep;       /* idle connections */
	struct loop_hook hook;         /* HTTP/2 writes once an iteration */
	struct http2 *unwritten;
	char *scratch;                 /* what was read last; callbacks see views of it */
	struct buf out;                /* HTTP/1.1: the head to write */
	struct buf frames;             /* HTTP/2: what is gathered for one write */
	bool closing;
};

#endif
