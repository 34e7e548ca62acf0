/* Reflection: questions by hand, and the descriptors behind the answers. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "api/descriptor.h"
#include "api/reflection.h"
#include "base/buf.h"
#include "base/heap.h"
#include "proxy/proto_scan.h"
#include "proxy/proto_write.h"

static struct str name_of(struct str file)
{
	struct proto_scan s = { .rest = file };
	struct proto_field f;

	while (proto_scan_next(&s, &f))
		if (f.number == 1)
			return f.bytes;
	return STR_NONE;
}

static void symbols(void **state)
{
	static const struct {
		const char *symbol, *file; /* NULL: none */
	} rows[] = {
		{ "aggregate.gateway.v1.CommandService", "command.proto" },
		{ "aggregate.gateway.v1.CommandService.SubmitCommand", "command.proto" },
		{ "aggregate.gateway.v1.Event", "command.proto" },
		{ "aggregate.gateway.v1.Event.payload", "command.proto" },
		{ "aggregate.gateway.v1.SubmitCommandRequest.MetadataEntry.key", "command.proto" },
		{ "grpc.health.v1.HealthCheckResponse.ServingStatus", "grpc/health/v1/health.proto" },
		{ "grpc.health.v1.HealthCheckResponse.SERVING", "grpc/health/v1/health.proto" },
		{ "grpc.reflection.v1.ServerReflectionRequest.message_request",
		  "grpc/reflection/v1/reflection.proto" },
		{ "grpc.reflection.v1alpha.ErrorResponse", "grpc/reflection/v1alpha/reflection.proto" },
		{ "", NULL }, { ".", NULL }, { "aggregate", NULL }, { "aggregate.gateway.v1", NULL },
		{ "aggregate.gateway.v1.", NULL }, { "aggregate.gateway.v1.Event.", NULL },
		{ "aggregate.gateway.v1.Event.payload.x", NULL }, { "aggregate.gateway.v1.Even", NULL },
		{ "CommandService", NULL }, { "grpc.health.v1.SERVING", NULL },
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct str file = descriptor_file_of(str_c(rows[i].symbol));

		print_message("%s\n", rows[i].symbol);
		if (rows[i].file == NULL)
			assert_null(file.p);
		else
			assert_true(str_eqc(name_of(file), rows[i].file));
		if (rows[i].file != NULL)
			assert_ptr_equal(descriptor_file(str_c(rows[i].file)).p, file.p);
	}
	assert_true(descriptor_is_message(STR("aggregate.gateway.v1.Event")));
	assert_true(descriptor_is_message(STR("aggregate.gateway.v1.SubmitCommandRequest.MetadataEntry")));
	assert_false(descriptor_is_message(STR("aggregate.gateway.v1.CommandService")));
	assert_false(descriptor_is_message(STR("aggregate.gateway.v1.Event.payload")));
}

static uint32_t kind_of(struct str answer)
{
	struct proto_scan s = { .rest = answer };
	uint32_t kind = 0;
	struct proto_field f;

	while (proto_scan_next(&s, &f))
		if (f.number >= 4)
			kind = f.number;
	assert_false(s.bad);
	return kind;
}

static void questions(void **state)
{
	static const struct {
		uint32_t asks;
		const char *value;
		uint32_t answer;
	} rows[] = {
		{ 3, "command.proto", 4 }, { 3, "none", 7 }, { 4, "grpc.health.v1.Health", 4 }, { 4, "x", 7 },
		{ 5, "", 7 }, { 6, "aggregate.gateway.v1.Event", 5 }, { 6, "x", 7 }, { 7, "", 6 }, { 9, "", 7 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct buf q, out;

		buf_init(&q, 1024);
		buf_init(&out, 1 << 16);
		proto_write_varint(&q, 300, 1 + (UINT64_C(1) << 40)); /* unknown: passed over */
		proto_write_bytes(&q, rows[i].asks, str_c(rows[i].value));
		assert_int_equal(reflection_answer(buf_str(&q), &out), OK);
		assert_int_equal(kind_of(buf_str(&out)), rows[i].answer);
		for (long n = 1; n < 4; n++) {
			enum err e;

			buf_release(&out);
			buf_init(&out, 1 << 16);
			heap_fail_after(n);
			e = reflection_answer(buf_str(&q), &out);
			assert_int_equal(e, heap_fail_after(0) ? E_NOMEM : OK);
		}
		buf_release(&q);
		buf_release(&out);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(symbols),
		cmocka_unit_test(questions),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
