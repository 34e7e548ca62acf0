/* Questions of reflection: the answer to each is a well-formed message that gives the question back and has
 * exactly one answer in it. */
#include <stdint.h>
#include <stdlib.h>

#include "api/reflection.h"
#include "base/buf.h"
#include "proxy/proto_scan.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void check(struct str answer, struct str question)
{
	struct proto_scan s = { .rest = answer };
	unsigned answers = 0, questions = 0;
	struct proto_field f;

	while (proto_scan_next(&s, &f)) {
		answers += f.number >= 4 && f.number <= 7;
		questions += f.number == 2 && str_eq(f.bytes, question);
	}
	if (s.bad || answers != 1 || questions != 1)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct str question = str_n((const char *)data, n);
	struct buf out;

	buf_init(&out, 1 << 20);
	if (reflection_answer(question, &out) == OK)
		check(buf_str(&out), question);
	buf_release(&out);
	return 0;
}
