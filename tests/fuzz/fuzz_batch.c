/* Items of a batch, as commands and as queries: what is accepted becomes parameters that a path could have
 * named and a body that is JSON; and any bytes of a node become a result that is JSON. */
#include <stdint.h>
#include <stdlib.h>

#include "api/batch_item.h"
#include "proxy/json_scan.h"
#include "request/request.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static bool is_json(struct str s)
{
	struct json_scan scan = json_scan_of(s);
	struct str raw;

	return str_utf8(s) && json_scan_value(&scan, &raw) && json_scan_end(&scan);
}

static void read_item(enum err (*read)(struct request *, struct str, struct fail *), struct str raw)
{
	struct fail f = { 0 };
	struct request r;

	request_init(&r);
	if (read(&r, raw, &f) == OK && (!is_json(buf_str(&r.body)) || r.param[0].n == 0 ||
	    !str_utf8(r.param[0]) || str_eq(r.param[0], STR(".."))))
		abort();
	request_release(&r);
}

static void write_result(struct str body)
{
	size_t room = 4096;
	struct request r;
	struct buf out;

	request_init(&r);
	buf_init(&out, 1 << 20);
	r.reply.status = 200;
	r.reply.body = body;
	if (batch_result_write(&r, &room, &out) == OK && !is_json(buf_str(&out)))
		abort();
	buf_release(&out);
	request_release(&r);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct str s = str_n((const char *)data, n);

	if (n > 65536)
		return 0;
	if (is_json(s)) {
		read_item(batch_command_read, s);
		read_item(batch_query_read, s);
	}
	write_result(s);
	return 0;
}
