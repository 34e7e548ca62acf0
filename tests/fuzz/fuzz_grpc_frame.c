/* Bytes of a gRPC stream, framed and cut anywhere, then taken for a SubmitCommandResponse; and the same bytes
 * as grpc-message. What is checked beyond memory safety: the cut changes nothing, no memory is taken for what
 * is only announced, and what is written as JSON is JSON. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "proxy/command.h"
#include "proxy/json_scan.h"
#include "upstream/grpc_frame.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

#define MAX_MESSAGE (1 << 20)

static enum err read_split(const char *p, size_t n, size_t cut, struct grpc_frame *f, struct buf *out)
{
	enum err e;

	*f = (struct grpc_frame){ 0 };
	buf_init(out, MAX_MESSAGE);
	e = grpc_frame_read(f, str_n(p, cut), out);
	if (e == OK)
		e = grpc_frame_read(f, str_n(p + cut, n - cut), out);
	if (out->n > n || out->cap > 2 * n + 512)
		abort();
	return e;
}

static void as_answer(struct str message)
{
	struct json_scan s;
	struct str raw;
	struct buf json;

	buf_init(&json, 8 * MAX_MESSAGE);
	if (command_answer_to_json(message, &json) == OK) {
		s = json_scan_of(buf_str(&json));
		if (!str_utf8(s.text) || !json_scan_value(&s, &raw) || !json_scan_end(&s))
			abort();
	}
	buf_release(&json);
}

static void as_text(struct str s)
{
	struct buf out;

	buf_init(&out, MAX_MESSAGE);
	if (grpc_message_decode(s, &out) != OK || out.n > s.n)
		abort();
	buf_release(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	const char *p = (const char *)data + 1;
	struct grpc_frame f, g;
	struct buf whole, split;

	if (n < 1 || n > MAX_MESSAGE)
		return 0;
	n--;
	if (read_split(p, n, n, &f, &whole) != read_split(p, n, n > 0 ? data[0] % n : 0, &g, &split))
		abort();
	if (grpc_frame_complete(&f) && grpc_frame_complete(&g) && !str_eq(buf_str(&whole), buf_str(&split)))
		abort();
	as_answer(buf_str(&whole));
	as_answer(str_n(p, n));
	as_text(str_n(p, n));
	buf_release(&whole);
	buf_release(&split);
	return 0;
}
