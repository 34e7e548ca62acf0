#include "request/flow.h"

#include <stdio.h>

#define FLOW_MAX (1u << 20) /* far past what a giver that looks at flow_full gets to */

void flow_init_take(struct flow *f, uint64_t length, struct buf *first)
{
	*f = (struct flow){ .held = *first, .length = length, .given = first->n };
	f->held.max = FLOW_MAX;
	buf_init(first, first->max);
}

void flow_release(struct flow *f)
{
	buf_release(&f->held);
	f->more = NULL;
	f->room = NULL;
}

static void tell(struct flow *f)
{
	if (f->more != NULL)
		f->more(f, f->taker);
}

enum err flow_give(struct flow *f, struct str data)
{
	enum err e;

	if (f->at > 0 && f->at == f->held.n) {
		buf_clear(&f->held);
		f->at = 0;
	} else if (f->at >= FLOW_FULL / 2) {
		buf_consume(&f->held, f->at);
		f->at = 0;
	}
	e = buf_adds(&f->held, data);
	if (e != OK)
		return e;
	f->given += data.n;
	tell(f);
	return OK;
}

void flow_end(struct flow *f)
{
	f->ended = true;
	tell(f);
}

void flow_fail(struct flow *f, enum err e)
{
	if (f->ended || f->err != OK)
		return;
	f->err = e;
	tell(f);
}

void flow_take(struct flow *f, size_t n)
{
	f->at += n;
	f->taken += n;
	if (n > 0 && f->room != NULL)
		f->room(f, f->giver, n);
}

/* ---- HTTP/1.1 -------------------------------------------------------------------------------- */

/* chunk-size CRLF chunk-data CRLF (RFC 9112, 7.1); the CRLF behind one goes with the size of the next. */
static void begin_chunk(struct flow_writer *w, size_t n)
{
	w->chunk = n;
	w->frame_at = 0;
	w->frame_n = (uint8_t)snprintf(w->frame, sizeof w->frame, n > 0 ? "%s%zx\r\n" : "%s%zx\r\n\r\n",
	    w->begun ? "\r\n" : "", n);
	w->begun = true;
	w->closing = n == 0;
}

int flow_writer_next(struct flow_writer *w, const struct flow *f, struct iovec iov[2])
{
	struct str held = flow_held(f);
	int n = 0;

	if (!w->chunked)
		w->chunk = held.n;
	else if (w->chunk == 0 && w->frame_at == w->frame_n && !w->closing && (held.n > 0 || f->ended))
		begin_chunk(w, held.n);
	if (w->frame_at < w->frame_n)
		iov[n++] = (struct iovec){ w->frame + w->frame_at, (size_t)(w->frame_n - w->frame_at) };
	if (w->chunk > 0) /* it was held when the chunk began, and has not been taken */
		iov[n++] = (struct iovec){ (char *)held.p, w->chunk };
	return n;
}

void flow_writer_wrote(struct flow_writer *w, struct flow *f, size_t n)
{
	size_t of_frame = (size_t)(w->frame_n - w->frame_at);

	of_frame = n < of_frame ? n : of_frame;
	w->frame_at = (uint8_t)(w->frame_at + of_frame);
	w->chunk -= n - of_frame;
	flow_take(f, n - of_frame);
}

bool flow_writer_done(const struct flow_writer *w, const struct flow *f)
{
	return flow_done(f) && (!w->chunked || (w->closing && w->frame_at == w->frame_n));
}
