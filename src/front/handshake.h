/* TLS handshakes of new connections on one worker. A handshake costs as much as dozens of requests, so only a
 * few steps are made in an iteration of the loop: callers who come in crowds wait for each other, and not
 * those who are in for them. One thread: the worker's. */
#ifndef FRONT_HANDSHAKE_H
#define FRONT_HANDSHAKE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "crypto/tls_session.h"

struct handshake;
struct obs_worker;
struct tls_server;
struct wire;

struct handshakes {
	struct tls_server *server; /* a reference; NULL: plaintext */
	struct tls_buffers *buffers;
	struct obs_worker *obs;
	struct handshake *first, *last; /* have a step to make */
	size_t going; /* that have begun and have not ended */
};

/* Embedded in the connection; zero-initialise. */
struct handshake {
	struct handshakes *of; /* NULL: none is under way */
	struct handshake *next;
	struct wire *wire;
	bool queued;
	/* The wire is ready, and may hold bytes that were read already; or the handshake has failed. Not
	 * called after handshake_cancel. May close the connection. */
	void (*cb)(struct handshake *s, bool ok);
};

enum err handshakes_init(struct handshakes *l, struct obs_worker *obs);
/* When all handshakes have ended or were cancelled. */
void handshakes_release(struct handshakes *l);
/* For connections that come from now on; takes the reference. NULL: plaintext. */
void handshakes_set_server_take(struct handshakes *l, struct tls_server *t);
static inline bool handshakes_wanted(const struct handshakes *l)
{
	return l->server != NULL;
}
static inline bool handshakes_going(const struct handshakes *l)
{
	return l->going > 0;
}
/* Once an iteration, before the loop waits. Returns how long the loop may sleep, microseconds, or -1. */
int64_t handshakes_turn(struct handshakes *l);

/* Puts a session on w, which stays in place, and begins. E_NOMEM. */
enum err handshake_begin(struct handshakes *l, struct handshake *s, struct wire *w, enum tls_alpn alpn,
    void (*cb)(struct handshake *s, bool ok));
static inline bool handshake_going(const struct handshake *s)
{
	return s->of != NULL;
}
/* The socket can be read or written. */
void handshake_event(struct handshake *s);
/* The connection ends; harmless when none is under way. */
void handshake_cancel(struct handshake *s);

#endif
