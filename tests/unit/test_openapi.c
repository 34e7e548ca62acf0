#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <ctype.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "api/body.h"
#include "api/openapi.h"
#include "api/schema.h"
#include "base/buf.h"
#include "request/op.h"

static json_t *document;

static int set_up(void **state)
{
	json_error_t e;
	struct buf text;

	(void)state;
	buf_init(&text, 8 << 20);
	openapi_write(&text);
	assert_int_equal(buf_err(&text), OK);
	document = json_loadb(text.p, text.n, JSON_REJECT_DUPLICATES, &e);
	if (document == NULL)
		print_error("line %d column %d: %s\n", e.line, e.column, e.text);
	buf_release(&text);
	return document == NULL;
}

static int tear_down(void **state)
{
	(void)state;
	json_decref(document);
	return 0;
}

static json_t *operation_of(const struct op *op)
{
	char path[256], method[8] = "";
	size_t n = strlen(op->path);
	const char *name = method_name(op->method);

	snprintf(path, sizeof path, "%s", op->path);
	if (path[n - 1] == '*')
		strcpy(path + n - 1, "{path}");
	for (size_t i = 0; name[i] != '\0'; i++)
		method[i] = (char)tolower((unsigned char)name[i]);
	return json_object_get(json_object_get(json_object_get(document, "paths"), path), method);
}

/* Every operation is in the document, by its name, and nothing else is. */
static void agrees_with_the_table(void **state)
{
	json_t *paths = json_object_get(document, "paths"), *item;
	const char *path;
	size_t in_table = 0, in_document = 0;

	(void)state;
	for (size_t i = 0; i < ops_count; i++) {
		if (ops_all[i].body == BODY_GRPC)
			continue;
		in_table++;
		assert_string_equal(json_string_value(json_object_get(operation_of(&ops_all[i]),
		    "operationId")), ops_all[i].name);
	}
	json_object_foreach(paths, path, item)
		in_document += json_object_size(item);
	assert_int_equal(in_table, in_document);
}

/* No name is used that has no schema. */
static void schemas_exist(void **state)
{
	(void)state;
	for (size_t i = 0; i < ops_count; i++) {
		const char *names[] = { ops_all[i].request_schema, ops_all[i].reply_schema };

		for (int k = 0; k < 2; k++)
			if (names[k] != NULL && schema_find(names[k]) == NULL)
				fail_msg("%s names schema %s, which is not in schema.c", ops_all[i].name, names[k]);
	}
}

static void check_refs(json_t *v)
{
	const char *key;
	json_t *m;
	size_t i;

	json_array_foreach(v, i, m)
		check_refs(m);
	json_object_foreach(v, key, m) {
		if (strcmp(key, "$ref") == 0) {
			const char *name = strrchr(json_string_value(m), '/') + 1;

			if (schema_find(name) == NULL)
				fail_msg("a $ref names %s, which does not exist", name);
		}
		check_refs(m);
	}
}

static void references_resolve(void **state)
{
	(void)state;
	check_refs(document);
}

static void bodies_show_what_the_reader_demands(void **state)
{
	json_t *schemas = json_object_get(json_object_get(document, "components"), "schemas");
	json_t *create = json_object_get(schemas, "TenantCreate");

	(void)state;
	assert_true(json_is_false(json_object_get(create, "additionalProperties")));
	assert_int_equal(json_array_size(json_object_get(create, "required")), 1);
	assert_int_equal(json_integer_value(json_object_get(json_object_get(
	    json_object_get(create, "properties"), "id"), "maxLength")), 63);
}

/* Whatever is not open to all names who may call it; whatever changes something is guarded. */
static void no_operation_is_unguarded(void **state)
{
	(void)state;
	for (size_t i = 0; i < ops_count; i++) {
		const struct op *op = &ops_all[i];

		if (strncmp(op->path, "/admin/", 7) == 0) {
			assert_int_not_equal(op->who, WHO_ALL);
			if (op->who != WHO_RIGHT)
				assert_int_equal(op->method, M_GET);
			assert_int_equal(op->on, ON_ADMIN);
		}
		if (op->who == WHO_RIGHT)
			assert_non_null(op->right);
		if (op->tenant == TENANT_SCOPE)
			assert_non_null(op->scope);
		if (op->mutates)
			assert_int_not_equal(op->method, M_GET);
	}
}

/* schema/openapi.json is what is written here, laid out for people to read and to compare. */
static void the_file_is_up_to_date(void **state)
{
	static const char path[] = "schema/openapi.json";
	char *text = json_dumps(document, JSON_INDENT(1));
	json_t *file;

	(void)state;
	assert_non_null(text);
	if (getenv("UPDATE_OPENAPI") != NULL) {
		FILE *f = fopen(path, "w");

		assert_non_null(f);
		assert_true(fprintf(f, "%s\n", text) > 0);
		assert_int_equal(fclose(f), 0);
	}
	free(text);
	file = json_load_file(path, 0, NULL);
	if (!json_equal(file, document))
		fail_msg("%s is not what the operation table says: run UPDATE_OPENAPI=1"
		    " build/release/unit/test_openapi and look at the difference", path);
	json_decref(file);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_file_is_up_to_date),
		cmocka_unit_test(agrees_with_the_table), cmocka_unit_test(schemas_exist),
		cmocka_unit_test(references_resolve),
		cmocka_unit_test(bodies_show_what_the_reader_demands),
		cmocka_unit_test(no_operation_is_unguarded),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
