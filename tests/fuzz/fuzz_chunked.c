/* The chunked coding, in pieces of any size. What chunked_read takes must be what a second reader takes that
 * sees all of it at once and looks at whole lines, with the same bytes and the same end; and pieces must
 * make no difference. What was taken must, written again by flow_writer, be taken again. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "request/chunked.h"
#include "request/flow.h"
#include "request/op.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

const struct op ops_all[1] = { { .name = "none" } };
const size_t ops_count = 0;

#define must(cond) ((cond) ? (void)0 : abort())

/* ---- the second reader ----------------------------------------------------------------------- */

static bool line_of(struct str *s, struct str *line)
{
	const char *end = s->n > 0 ? memmem(s->p, s->n, "\r\n", 2) : NULL;

	if (end == NULL)
		return false;
	*line = str_n(s->p, (size_t)(end - s->p));
	*s = str_skip(*s, line->n + 2);
	return memchr(line->p, '\r', line->n) == NULL && memchr(line->p, '\n', line->n) == NULL;
}

static bool text(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if (((unsigned char)s.p[i] < ' ' && s.p[i] != '\t') || s.p[i] == 127)
			return false;
	return true;
}

static bool size_of(struct str line, uint64_t *size)
{
	struct str ext, digits = str_cut(line, ';', &ext);
	char z[16] = "";

	if (digits.n == 0 || digits.n > 15 || !text(line))
		return false;
	memcpy(z, digits.p, digits.n);
	*size = strtoull(z, NULL, 16);
	return strspn(z, "0123456789abcdefABCDEF") == digits.n;
}

static bool field(struct str line)
{
	struct str value, name = str_cut(line, ':', &value);

	for (size_t i = 0; i < name.n; i++)
		if (name.p[i] == '\0' || strchr("!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyz"
		    "ABCDEFGHIJKLMNOPQRSTUVWXYZ", name.p[i]) == NULL)
			return false;
	return name.n > 0 && value.p != NULL && text(value);
}

static bool second(struct str all, struct buf *body, size_t *used)
{
	struct str s = all, line;
	uint64_t size;

	while (line_of(&s, &line) && size_of(line, &size)) {
		while (size == 0 && line_of(&s, &line)) {
			*used = all.n - s.n;
			if (line.n == 0)
				return true;
			if (!field(line))
				return false;
		}
		if (size == 0 || size > s.n)
			return false;
		buf_add(body, s.p, size);
		s = str_skip(s, size);
		if (!str_starts(s, STR("\r\n")))
			return false;
		s = str_skip(s, 2);
	}
	return false;
}

/* ---- ours ------------------------------------------------------------------------------------ */

static enum chunked_step ours(struct str s, unsigned seed, struct buf *body, size_t *used)
{
	struct chunked c = { 0 };
	enum chunked_step step = CHUNKED_MORE;
	size_t have = 0;
	struct str data;

	for (*used = 0; step == CHUNKED_MORE && have < s.n;) {
		char *piece;

		seed = seed * 1103515245 + 12345;
		have += 1 + (seed >> 16) % 37;
		have = have < s.n ? have : s.n;
		piece = malloc(have - *used); /* of its own size: a read past the end is seen */
		memcpy(piece, s.p + *used, have - *used);
		for (size_t at = 0, k;;) {
			step = chunked_read(&c, piece + at, have - *used, &k, &data);
			*used += k;
			at += k;
			if (step != CHUNKED_DATA)
				break;
			buf_adds(body, data);
		}
		free(piece);
	}
	return step;
}

static void written_again(struct buf *body)
{
	struct flow_writer w = { .chunked = true };
	struct buf wire, got;
	struct flow f;
	size_t used, n = body->n;
	struct iovec iov[2];
	int k;

	buf_init(&wire, 1 << 20);
	buf_init(&got, 1 << 20);
	flow_init_take(&f, FLOW_LENGTH_UNKNOWN, body);
	flow_end(&f);
	while ((k = flow_writer_next(&w, &f, iov)) > 0) {
		buf_add(&wire, iov[0].iov_base, iov[0].iov_len);
		flow_writer_wrote(&w, &f, iov[0].iov_len);
	}
	must(flow_writer_done(&w, &f));
	must(ours(buf_str(&wire), (unsigned)n, &got, &used) == CHUNKED_DONE && used == wire.n && got.n == n);
	buf_release(&wire);
	buf_release(&got);
	flow_release(&f);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct str s = { (const char *)data, n };
	struct buf a, b, c;
	size_t na = 0, nb = 0, nc = 0;
	enum chunked_step step;

	if (n == 0 || n > CHUNKED_MAX_OVERHEAD)
		return 0;
	buf_init(&a, 1 << 20);
	buf_init(&b, 1 << 20);
	buf_init(&c, 1 << 20);
	step = ours(s, data[n - 1], &a, &na);
	must(step == ours(s, ~(unsigned)data[n - 1], &b, &nb) && na == nb && str_eq(buf_str(&a), buf_str(&b)));
	must((step == CHUNKED_DONE) == second(s, &c, &nc));
	if (step == CHUNKED_DONE) {
		must(na == nc && str_eq(buf_str(&a), buf_str(&c)));
		written_again(&a);
	}
	buf_release(&a);
	buf_release(&b);
	buf_release(&c);
	return 0;
}
