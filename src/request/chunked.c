#include "request/chunked.h"

#include "request/header.h"

/* One byte of framing at a time. */
enum { CHUNK_SIZE, CHUNK_EXT, CHUNK_LF, CHUNK_DATA, CHUNK_DATA_CR, CHUNK_DATA_LF, CHUNK_TRAILER,
	CHUNK_TRAILER_LF, CHUNK_LAST_LF, CHUNK_DONE, CHUNK_BAD };
/* where in a trailer line: its start, its name, its value */
enum { TRAILER_START, TRAILER_NAME, TRAILER_VALUE };

static int hex_digit(unsigned char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static int chunk_size(struct chunked *r, unsigned char c)
{
	int d = hex_digit(c);

	if (d >= 0) {
		if (r->digits++ == 15) /* past 2^60 */
			return CHUNK_BAD;
		r->left = r->left << 4 | (uint64_t)d;
		return CHUNK_SIZE;
	}
	if (r->digits == 0)
		return CHUNK_BAD;
	return c == '\r' ? CHUNK_LF : c == ';' ? CHUNK_EXT : CHUNK_BAD;
}

static int chunk_ext(struct chunked *r, unsigned char c)
{
	if (c == '\r')
		return CHUNK_LF;
	if ((c < 0x20 && c != '\t') || c == 0x7f || ++r->overhead > CHUNKED_MAX_OVERHEAD)
		return CHUNK_BAD;
	return CHUNK_EXT;
}

static int chunk_lf(struct chunked *r, unsigned char c)
{
	if (c != '\n')
		return CHUNK_BAD;
	r->digits = 0;
	r->trailer_line = TRAILER_START;
	return r->left > 0 ? CHUNK_DATA : CHUNK_TRAILER;
}

static int trailer(struct chunked *r, unsigned char c)
{
	const char name = (char)c;

	if (++r->overhead > CHUNKED_MAX_OVERHEAD)
		return CHUNK_BAD;
	if (r->trailer_line == TRAILER_VALUE) {
		if (c == '\r')
			return CHUNK_TRAILER_LF;
		return (c < 0x20 && c != '\t') || c == 0x7f ? CHUNK_BAD : CHUNK_TRAILER;
	}
	if (c == '\r' && r->trailer_line == TRAILER_START)
		return CHUNK_LAST_LF;
	if (c == ':' && r->trailer_line == TRAILER_NAME)
		r->trailer_line = TRAILER_VALUE;
	else if (header_is_token(str_n(&name, 1)))
		r->trailer_line = TRAILER_NAME;
	else
		return CHUNK_BAD;
	return CHUNK_TRAILER;
}

static int chunk_byte(struct chunked *r, unsigned char c)
{
	switch (r->state) {
	case CHUNK_SIZE:
		return chunk_size(r, c);
	case CHUNK_EXT:
		return chunk_ext(r, c);
	case CHUNK_LF:
		return chunk_lf(r, c);
	case CHUNK_DATA_CR:
		return c == '\r' ? CHUNK_DATA_LF : CHUNK_BAD;
	case CHUNK_DATA_LF:
		return c == '\n' ? CHUNK_SIZE : CHUNK_BAD;
	case CHUNK_TRAILER:
		return trailer(r, c);
	case CHUNK_TRAILER_LF:
		r->trailer_line = TRAILER_START;
		return c == '\n' ? CHUNK_TRAILER : CHUNK_BAD;
	case CHUNK_LAST_LF:
		return c == '\n' ? CHUNK_DONE : CHUNK_BAD;
	}
	return CHUNK_BAD;
}

enum chunked_step chunked_read(struct chunked *r, const char *p, size_t n, size_t *used,
    struct str *data)
{
	size_t i = 0;

	while (i < n && r->state != CHUNK_DATA && r->state < CHUNK_DONE)
		r->state = (uint8_t)chunk_byte(r, (unsigned char)p[i++]);
	*used = i;
	if (r->state == CHUNK_BAD)
		return CHUNKED_BAD;
	if (r->state == CHUNK_DONE)
		return CHUNKED_DONE;
	if (i == n)
		return CHUNKED_MORE;
	*data = str_n(p + i, r->left < n - i ? (size_t)r->left : n - i);
	*used += data->n;
	r->left -= data->n;
	if (r->left == 0)
		r->state = CHUNK_DATA_CR;
	return CHUNKED_DATA;
}
