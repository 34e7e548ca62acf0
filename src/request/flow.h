/* A body on its way through the house: one side gives bytes, the other takes them, and neither gets far ahead
 * of the other, because the giver looks at flow_full before it reads more. For bodies past FLOW_AFTER; what
 * is smaller is gathered and passed whole.
 *
 * The callbacks come from within the other side's calls; whoever is deep in its own work notes them and
 * goes on later. One thread: the worker's. */
#ifndef REQUEST_FLOW_H
#define REQUEST_FLOW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"

#define FLOW_AFTER (64u << 10)    /* a body that is larger is not gathered */
#define FLOW_FULL (64u << 10)     /* bytes held from which the giver pauses; one more read may be on top */
#define FLOW_LENGTH_UNKNOWN UINT64_MAX

struct flow {
	struct buf held;
	size_t at;       /* of held, what has been taken */
	uint64_t length; /* of the whole body, or FLOW_LENGTH_UNKNOWN */
	uint64_t given, taken; /* bytes in all */
	bool ended;      /* no more will be given */
	enum err err;    /* the giver broke off: what is held is not to be trusted to be all */
	/* the taker's: there is more, or the end, or an error; NULL: it does not listen */
	void (*more)(struct flow *f, void *arg);
	void *taker;
	/* the giver's: n bytes were taken; NULL: it does not listen */
	void (*room)(struct flow *f, void *arg, size_t n);
	void *giver;
};

/* Starts with what has been gathered in `first`, whose memory it takes; `first` is left empty. */
void flow_init_take(struct flow *f, uint64_t length, struct buf *first);
void flow_release(struct flow *f);

/* ---- the giver ------------------------------------------------------------------------------- */

static inline bool flow_full(const struct flow *f)
{
	return f->held.n - f->at >= FLOW_FULL;
}
/* E_NOMEM. */
enum err flow_give(struct flow *f, struct str data);
void flow_end(struct flow *f);
/* Unless it has ended or failed already. */
void flow_fail(struct flow *f, enum err e);

/* ---- the taker ------------------------------------------------------------------------------- */

static inline struct str flow_held(const struct flow *f)
{
	return f->held.n > f->at ? str_n(f->held.p + f->at, f->held.n - f->at) : STR_NONE;
}
void flow_take(struct flow *f, size_t n);
static inline bool flow_done(const struct flow *f)
{
	return f->ended && f->held.n == f->at;
}

/* ---- as the body of an HTTP/1.1 message ------------------------------------------------------ */

/* Zero-initialise but for chunked. */
struct flow_writer {
	bool chunked;    /* else the bytes as they are, and their number is the reader's to know */
	bool begun, closing;
	char frame[24];  /* what stands before the next bytes: the end of a chunk, the size of one */
	uint8_t frame_at, frame_n;
	size_t chunk;    /* bytes of the current chunk that have not been written */
};

/* What is to be written next: up to two parts. 0: nothing for now, or flow_writer_done. */
int flow_writer_next(struct flow_writer *w, const struct flow *f, struct iovec iov[2]);
/* n bytes of that were. */
void flow_writer_wrote(struct flow_writer *w, struct flow *f, size_t n);
bool flow_writer_done(const struct flow_writer *w, const struct flow *f);

#endif
