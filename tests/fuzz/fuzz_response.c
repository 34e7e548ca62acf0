/* Answers of HTTP/1.1 nodes, whole and in pieces: response_head, response_body. The first byte says where the
 * input is split. What is checked beyond memory safety: views stay inside the head, values are clean, and
 * the split changes nothing. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "upstream/response.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

/* What one reading came to. */
struct reading {
	struct response r;
	enum response_step step;
	struct buf body;
	size_t used;
	char *head;
};

static void inside(const struct reading *g, struct str s)
{
	if (s.p < g->head || s.p + s.n > g->head + g->used)
		abort();
	for (size_t i = 0; i < s.n; i++)
		if ((unsigned char)s.p[i] < 0x20 && s.p[i] != '\t')
			abort();
}

static void read_body(struct reading *g, const char *p, size_t n)
{
	struct str data;
	size_t used;

	for (;;) {
		g->step = response_body(&g->r, p, n, &used, &data);
		if (used > n)
			abort();
		p += used;
		n -= used;
		g->used += used;
		if (g->step != RESPONSE_DATA)
			return;
		if (data.n == 0 || data.p + data.n > p)
			abort();
		buf_adds(&g->body, data);
	}
}

/* Reads in two pieces, the second of which ends the connection. */
static void read_split(struct reading *g, const char *p, size_t n, size_t cut)
{
	size_t used = 0, have = cut;

	buf_init(&g->body, 1 << 20);
	response_init(&g->r, false);
	g->head = malloc(n + 1);
	memcpy(g->head, p, cut);
	g->step = response_head(&g->r, g->head, have, &used);
	if (g->step == RESPONSE_MORE) {
		memcpy(g->head + cut, p + cut, n - cut);
		have = n;
		g->step = response_head(&g->r, g->head, have, &used);
	}
	if (g->step != RESPONSE_DONE)
		return;
	g->used = used;
	for (size_t i = 0; i < g->r.nheaders; i++) {
		inside(g, g->r.headers[i].name);
		inside(g, g->r.headers[i].value);
	}
	read_body(g, p + used, have - used);
	if (g->step == RESPONSE_MORE && have < n)
		read_body(g, p + have, n - have);
	if (g->step == RESPONSE_MORE)
		g->step = response_eof(&g->r);
}

static void same(const struct reading *a, const struct reading *b)
{
	if (a->step != b->step)
		abort();
	if (a->step != RESPONSE_DONE)
		return;
	if (a->used != b->used || a->r.status != b->r.status || a->r.nheaders != b->r.nheaders ||
	    a->r.keep_alive != b->r.keep_alive || !str_eq(buf_str(&a->body), buf_str(&b->body)))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct reading whole = { 0 }, split = { 0 };
	const char *p = (const char *)data + 1;

	if (n < 1)
		return 0;
	n--;
	read_split(&whole, p, n, n);
	read_split(&split, p, n, n > 0 ? data[0] % n : 0);
	same(&whole, &split);
	buf_release(&whole.body);
	buf_release(&split.body);
	free(whole.head);
	free(split.head);
	return 0;
}
