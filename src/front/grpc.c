#include "front/grpc.h"

#include "base/arena.h"
#include "base/buf.h"

static uint32_t said(const struct grpc_reader *g)
{
	const unsigned char *p = g->prefix;

	return (uint32_t)p[1] << 24 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 8 | p[4];
}

enum err grpc_read(struct grpc_reader *g, struct str data, size_t max, struct buf *out)
{
	size_t n = GRPC_PREFIX - g->have < data.n ? GRPC_PREFIX - g->have : data.n;

	if (data.n == 0)
		return OK;
	memcpy(g->prefix + g->have, data.p, n);
	g->have += (unsigned)n;
	data = str_skip(data, n);
	if (g->prefix[0] != 0)
		return g->prefix[0] == 1 ? E_COMPRESSED : E_BAD_REQUEST;
	if (g->have < GRPC_PREFIX)
		return OK;
	if (said(g) > max)
		return E_BODY_TOO_LARGE;
	if (out->n + data.n > said(g))
		return E_MESSAGE_COUNT;
	return buf_adds(out, data) == OK ? OK : E_NOMEM;
}

enum err grpc_end(const struct grpc_reader *g, const struct buf *out)
{
	if (g->have == 0)
		return E_MESSAGE_COUNT;
	return g->have == GRPC_PREFIX && out->n == said(g) ? OK : E_BAD_REQUEST;
}

void grpc_prefix(size_t n, unsigned char out[GRPC_PREFIX])
{
	out[0] = 0;
	out[1] = (unsigned char)(n >> 24);
	out[2] = (unsigned char)(n >> 16);
	out[3] = (unsigned char)(n >> 8);
	out[4] = (unsigned char)n;
}

struct str grpc_encode_message(struct str s, struct arena *a)
{
	static const char digits[] = "0123456789ABCDEF";
	char *out;
	size_t k = 0;

	if (s.n > GRPC_MESSAGE)
		for (s.n = GRPC_MESSAGE; s.n > 0 && ((unsigned char)s.p[s.n] & 0xc0) == 0x80; s.n--)
			;
	out = arena_alloc(a, s.n * 3 + 1);
	if (out == NULL)
		return STR_NONE;
	for (size_t i = 0; i < s.n; i++) {
		unsigned char c = (unsigned char)s.p[i];

		if (c >= 0x20 && c <= 0x7e && c != '%') {
			out[k++] = (char)c;
			continue;
		}
		out[k++] = '%';
		out[k++] = digits[c >> 4];
		out[k++] = digits[c & 15];
	}
	return str_n(out, k);
}
