/* What http1.c (sockets, time) and http1_exchange.c (requests and answers) share: one listener, one
 * connection. */
#ifndef FRONT_HTTP1_CONN_H
#define FRONT_HTTP1_CONN_H

#include <netinet/in.h>
#include <stdbool.h>

#include "base/buf.h"
#include "base/loop.h"
#include "crypto/wire.h"
#include "front/date.h"
#include "front/deadline.h"
#include "front/handshake.h"
#include "front/head.h"
#include "front/http1.h"
#include "front/listener.h"
#include "request/chunked.h"
#include "request/flow.h"

struct exchange;

#define HTTP1_TARGET_MAX 8192
#define HTTP1_READ (64u << 10)
#define HTTP1_SPARE_IN 16
#define HTTP1_SPARE_CONNS 256

enum http1_state {
	HTTP1_HEAD, /* a request is expected, or has begun to arrive */
	HTTP1_BODY, /* its body is arriving */
	HTTP1_WAIT, /* it is complete, and worked on */
	HTTP1_SKIP  /* it is answered, but the rest of its body is still arriving */
};

struct http1 {
	struct http1_config c;
	struct listener listener;
	struct http1_conn *conns, *dirty, *spare;
	size_t nspare;
	bool draining;
	/* for a head since accept or its first byte; between requests; for a body; for an answer to go; since
	 * the client has closed its side */
	struct deadlines head, idle, body, send, parting, leaving;
	struct date date;
	struct buf out;         /* the head that is written */
	struct buf spare_in[HTTP1_SPARE_IN];
	size_t nspare_in;
	/* of the connection that is driven: input that it has not taken yet, in scratch or in its `in` */
	char *p;
	size_t n;
	char scratch[HTTP1_READ];
};

struct http1_conn {
	struct loop_fd fd;
	struct wire wire;
	struct handshake shake;
	struct http1 *h;
	struct http1_conn *next, *prev, *next_dirty; /* next also: of the spare ones */
	struct exchange *x;      /* the request that is read or answered */
	struct deadline deadline;
	struct buf in;           /* input that must wait; without memory most of the time */
	size_t in_at;            /* where it begins */
	struct head_scan scan;   /* of a head that is not complete */
	struct str out[2];       /* of an answer, what has not gone out */
	struct flow_writer writer; /* of an answer that comes as a flow */
	struct chunked chunked;
	uint64_t left;           /* bytes of body to come, or CHECK_CHUNKED */
	uint64_t taken;          /* bytes of body that came */
	uint64_t progress;       /* bytes, when the deadline was last set */
	union {
		struct sockaddr any;
		struct sockaddr_in v4;
		struct sockaddr_in6 v6;
	} peer;
	uint8_t state;           /* enum http1_state */
	bool blank;              /* an empty line before the request line was skipped */
	bool readable, writable; /* as far as we know */
	bool fin;      /* the client has closed its side; unread bytes may stand before that */
	bool eof;      /* ... and all has been read */
	bool expects;  /* 100-continue, and nothing has been sent or come */
	bool lost;     /* nobody knows where the next request would start */
	bool paused;   /* the body that is read waits for whom takes it */
	bool queued;   /* the answer is on its way */
	bool flowing;  /* ... its head is out, and its body follows as it comes */
	bool last;     /* the connection ends with it */
	bool linger;   /* ... and the client may still be sending */
	bool driven, is_dirty;
	bool over;     /* to be closed */
	bool broken;   /* without a word */
};

/* ---- http1.c --------------------------------------------------------------------------------- */

/* To be driven, or closed, before the loop waits. */
void http1_dirty(struct http1_conn *c);
/* More input behind h->p, h->n; it may move. False: there is none now; c->eof and c->over may be set. */
bool http1_fetch(struct http1_conn *c);
/* Takes n bytes of h->p as read. */
static inline void http1_take(struct http1 *h, size_t n)
{
	h->p += n;
	h->n -= n;
}
/* Writes these parts. What does not go out now is left in c->out, as views; false then, and when the
 * socket is broken, which is noted. */
bool http1_write(struct http1_conn *c, struct str first, struct str second);
/* Writes what of f it can. True: all of it is out. False: it waits for the socket (c->writable is false
 * then), for more of f or for its next turn, or the socket is broken. */
bool http1_write_flow(struct http1_conn *c, struct flow *f);

/* ---- http1_exchange.c ------------------------------------------------------------------------ */

/* Goes on as far as it can with what has come from the client and from the steps. */
void http1_drive(struct http1_conn *c);
/* The time for the head or the body is over. */
void http1_late(struct http1_conn *c);
/* The client has closed its side while its request is worked on: asks the network whether anybody is
 * left. */
void http1_probe(struct http1_conn *c);
/* The connection is closed: lets go of its exchange. */
void http1_detach(struct http1_conn *c);

#endif
