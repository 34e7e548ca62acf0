/* Commands from strangers: the JSON body, and the same bytes as a SubmitCommandRequest. What is
 * checked beyond memory safety: what is accepted has a payload that is JSON and stands in the body, and
 * the body with an id put in is accepted again with that id. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/command_body.h"
#include "proxy/json_scan.h"
#include "proxy/proto_scan.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void check(struct arena *a, struct str text)
{
	static struct command_body c, again;
	struct fail f = { 0 };
	struct json_scan s;
	struct str raw, with;

	if (command_body_read(a, text, &c, &f) != OK) {
		if (f.err == OK || fail_text(&f)[0] == '\0')
			abort();
		fail_clear(&f);
		return;
	}
	s = json_scan_of(c.payload);
	if (c.payload.p < text.p || c.payload.p + c.payload.n > text.p + text.n ||
	    !json_scan_value(&s, &raw) || !json_scan_end(&s) || c.command_type.n == 0)
		abort();
	if (c.command_id.p != NULL)
		return;
	with = command_body_with_id(a, &c, STR("the-id"));
	if (with.p != NULL && (command_body_read(a, with, &again, &f) != OK ||
	    !str_eqc(again.command_id, "the-id") || !str_eq(again.payload, c.payload)))
		abort();
}

static void scan(struct str message)
{
	struct proto_scan s = { .rest = message };
	struct proto_field f;

	while (proto_scan_next(&s, &f))
		if (f.type == PROTO_BYTES &&
		    (f.bytes.p < message.p || f.bytes.p + f.bytes.n > message.p + message.n))
			abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct str text = str_n((const char *)data, n);
	struct arena a;

	if (n > 65536)
		return 0;
	arena_init(&a, 4 << 20);
	check(&a, text);
	scan(text);
	arena_release(&a);
	return 0;
}
