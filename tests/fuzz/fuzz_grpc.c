/* One gRPC message in arbitrary pieces: how it is cut must not change what comes of it. The first byte
 * of the input is the size of the pieces. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/buf.h"
#include "front/grpc.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

#define MAX 4096

static enum err read_in(struct str s, size_t piece, struct buf *out)
{
	struct grpc_reader g = { 0 };
	enum err e = OK;

	while (e == OK && s.n > 0) {
		size_t k = piece < s.n ? piece : s.n;

		e = grpc_read(&g, str_n(s.p, k), MAX, out);
		s = str_skip(s, k);
	}
	return e != OK ? e : grpc_end(&g, out);
}

static void encode(struct str s)
{
	struct arena a;
	struct str out;

	arena_init(&a, 1 << 20);
	out = grpc_encode_message(s, &a);
	for (size_t i = 0; i < out.n; i++)
		if (out.p[i] < 0x20 || out.p[i] > 0x7e)
			abort();
	arena_release(&a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct buf whole, pieces;
	enum err a, b;

	if (n == 0)
		return 0;
	buf_init(&whole, MAX);
	buf_init(&pieces, MAX);
	a = read_in(str_n((const char *)data + 1, n - 1), n, &whole);
	b = read_in(str_n((const char *)data + 1, n - 1), data[0] + 1u, &pieces);
	if ((a == OK) != (b == OK) || (a == OK && !str_eq(buf_str(&whole), buf_str(&pieces))))
		abort();
	if (a == OK && whole.n != n - 1 - GRPC_PREFIX)
		abort();
	encode(str_n((const char *)data, n));
	buf_release(&whole);
	buf_release(&pieces);
	return 0;
}
