/* What an rqlite node answers: the first byte picks the HTTP status, the rest is the body. It is read
 * as the outcome of a batch and as rows; "done" must never come out of anything but a full list of
 * results without an error, and every row must be there to its last byte. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "base/arena.h"
#include "store/rqlite_wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static const struct store_stmt stmts[] = {
	{ .sql = "A", .expect = STORE_ANY },
	{ .sql = "B", .expect = 1, .otherwise = E_NOT_FOUND },
};

static void is_done(struct str body)
{
	json_t *root = json_loadb(body.p, body.n, JSON_ALLOW_NUL, NULL), *r;
	size_t i;

	if (json_array_size(json_object_get(root, "results")) != 4)
		abort();
	json_array_foreach(json_object_get(root, "results"), i, r)
		if (json_string_length(json_object_get(r, "error")) > 0 &&
		    json_string_value(json_object_get(r, "error"))[0] != '\0')
			abort();
	json_decref(root);
}

static void touch(const struct store_rows *r, size_t n)
{
	size_t sum = 0;

	for (size_t i = 0; i < n; i++)
		for (size_t k = 0; k < r[i].nrows * r[i].ncols; k++)
			for (size_t b = 0; b < r[i].v[k].s.n; b++)
				sum += (unsigned char)r[i].v[k].s.p[b];
	__asm__ volatile("" : : "r"(sum)); /* the bytes are really read */
}

static void as_batch(int status, struct str body)
{
	struct store_rows rows[2];
	struct store_batch batch = { { { 7 } }, stmts, 2, NULL, rows };
	const struct store_batch *one = &batch;
	struct fail f = { 0 };
	struct arena a;
	enum err e = OK;
	size_t at = 99;
	enum wire_outcome o, g;
	bool held;

	arena_init(&a, 1 << 20);
	batch.arena = &a;
	o = wire_read_batch(status, body, &batch, &e, &at, &f);
	if (o == WIRE_DONE)
		touch(rows, 2);
	g = wire_read_group(status, body, &one, 1, &held, &f);
	if (g == WIRE_DONE)
		touch(rows, 2);
	if (o == WIRE_DONE || g == WIRE_DONE)
		is_done(body);
	if (o == WIRE_REFUSED && (e == OK || at > batch.n))
		abort();
	if ((o == WIRE_RETRY || o == WIRE_UNKNOWN) && f.err != E_STORE_UNAVAILABLE)
		abort();
	if ((o == WIRE_REFUSED) != (g == WIRE_REFUSED))
		abort();
	arena_release(&a);
}

static void as_rows(int status, struct str body)
{
	struct store_rows r[2];
	struct fail f = { 0 };
	struct arena a;
	bool retry;

	arena_init(&a, 1 << 20);
	if (wire_read_rows(status, body, 2, &a, r, &retry, &f) == OK)
		touch(r, 2);
	arena_release(&a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static const int status[] = { 200, 200, 200, 200, 301, 400, 500, 503 };
	struct str body;

	if (n == 0)
		return 0;
	body = str_n((const char *)data + 1, n - 1);
	as_batch(status[data[0] % 8], body);
	as_rows(status[data[0] % 8], body);
	return 0;
}
