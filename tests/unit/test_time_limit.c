/* The caller's time limit: every unit, nothing else, and the sooner of two. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "request/request.h"
#include "request/time_limit.h"

static void units(void **state)
{
	static const struct {
		const char *text;
		int64_t us; /* -1: refused */
	} rows[] = {
		{ "1H", 3600000000 }, { "2M", 120000000 }, { "3S", 3000000 }, { "4m", 4000 }, { "5u", 5 },
		{ "1n", 1 }, { "1000n", 1 }, { "1001n", 2 }, { "0S", 0 }, { "00000007S", 7000000 },
		{ "99999999H", 359999996400000000 }, { "99999999n", 100000 },
		{ "", -1 }, { "S", -1 }, { "1", -1 }, { "1s", -1 }, { "100000000S", -1 }, { "-1S", -1 },
		{ "+1S", -1 }, { " 1S", -1 }, { "1S ", -1 }, { "1.0S", -1 }, { "1SS", -1 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		int64_t us = -1;

		print_message("%s\n", rows[i].text);
		assert_int_equal(time_limit_grpc(str_c(rows[i].text), &us), rows[i].us >= 0);
		assert_int_equal(us, rows[i].us);
	}
}

static void headers(void **state)
{
	static const struct {
		const char *grpc, *ms, *ms2;
		enum err e;
		int64_t deadline;
	} rows[] = {
		{ .deadline = 0 },
		{ .grpc = "1S", .deadline = 1005000 },
		{ .ms = "20", .deadline = 25000 },
		{ .grpc = "1S", .ms = "20", .deadline = 25000 },
		{ .grpc = "1m", .ms = "20", .deadline = 6000 },
		{ .ms = "0", .deadline = 5000 },
		{ .ms = "-1", .e = E_BAD_REQUEST },
		{ .ms = "", .e = E_BAD_REQUEST },
		{ .ms = "4294967296", .e = E_BAD_REQUEST },
		{ .ms = "1", .ms2 = "1", .e = E_BAD_REQUEST },
		{ .grpc = "1", .ms = "1", .e = E_BAD_REQUEST },
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct fail f = { 0 };
		struct request r;

		request_init(&r);
		r.started_mono = 5000;
		if (rows[i].grpc != NULL)
			request_add_header(&r, STR("grpc-timeout"), str_c(rows[i].grpc));
		if (rows[i].ms != NULL)
			request_add_header(&r, STR("x-request-timeout-ms"), str_c(rows[i].ms));
		if (rows[i].ms2 != NULL)
			request_add_header(&r, STR("x-request-timeout-ms"), str_c(rows[i].ms2));
		assert_int_equal(time_limit_read(&r, &f), rows[i].e);
		if (rows[i].e == OK)
			assert_int_equal(r.deadline, rows[i].deadline);
		request_release(&r);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(units),
		cmocka_unit_test(headers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
