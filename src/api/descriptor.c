#include "api/descriptor.h"

#include <stdio.h>

#include "api/descriptors_embedded.h"
#include "proxy/proto_scan.h"
#include "request/op.h"

#define NAME_MAX_LEN 256

/* Field numbers of descriptor.proto. */
enum { SET_FILE = 1 };
enum { FILE_NAME = 1, FILE_PACKAGE = 2, FILE_MESSAGE = 4, FILE_ENUM = 5, FILE_SERVICE = 6,
	FILE_EXTENSION = 7 };
enum { ANY_NAME = 1 }; /* of everything that has one */
enum { MESSAGE_FIELD = 2, MESSAGE_NESTED = 3, MESSAGE_ENUM = 4, MESSAGE_EXTENSION = 6, MESSAGE_ONEOF = 8 };
enum { ENUM_VALUE = 2 };
enum { SERVICE_METHOD = 2 };

/* ---- walking ------------------------------------------------------------------------------------ */

/* The next field of that number and of type bytes. */
static bool next(struct proto_scan *s, uint32_t number, struct str *out)
{
	struct proto_field f;

	while (proto_scan_next(s, &f))
		if (f.number == number && f.type == PROTO_BYTES) {
			*out = f.bytes;
			return true;
		}
	return false;
}

static struct str only(struct str message, uint32_t number)
{
	struct proto_scan s = { .rest = message };
	struct str out = STR("");

	(void)next(&s, number, &out);
	return out;
}

/* Whether one of the repeated `number` declares `rest`, by `declares`. */
static bool any(struct str message, uint32_t number, struct str rest,
    bool (*declares)(struct str item, struct str rest))
{
	struct proto_scan s = { .rest = message };
	struct str item;

	while (next(&s, number, &item))
		if (declares(item, rest))
			return true;
	return false;
}

static bool is_named(struct str item, struct str rest)
{
	return str_eq(only(item, ANY_NAME), rest);
}

/* What stands behind "name." in rest; .p NULL: it does not begin so. */
static struct str within(struct str name, struct str rest)
{
	if (rest.n <= name.n || !str_starts(rest, name) || rest.p[name.n] != '.')
		return STR_NONE;
	return str_skip(rest, name.n + 1);
}

/* ---- what declares a name ----------------------------------------------------------------------- */

static bool enum_declares(struct str item, struct str rest)
{
	return is_named(item, rest) || any(item, ENUM_VALUE, rest, is_named); /* values are its siblings */
}

static bool service_declares(struct str item, struct str rest)
{
	struct str inner = within(only(item, ANY_NAME), rest);

	return is_named(item, rest) || (inner.p != NULL && any(item, SERVICE_METHOD, inner, is_named));
}

static bool message_is(struct str item, struct str rest)
{
	struct str inner = within(only(item, ANY_NAME), rest);

	return is_named(item, rest) || (inner.p != NULL && any(item, MESSAGE_NESTED, inner, message_is));
}

static bool message_declares(struct str item, struct str rest)
{
	struct str inner = within(only(item, ANY_NAME), rest);

	if (inner.p == NULL)
		return is_named(item, rest);
	return any(item, MESSAGE_FIELD, inner, is_named) || any(item, MESSAGE_ONEOF, inner, is_named) ||
	    any(item, MESSAGE_EXTENSION, inner, is_named) || any(item, MESSAGE_ENUM, inner, enum_declares) ||
	    any(item, MESSAGE_NESTED, inner, message_declares);
}

static bool file_declares(struct str file, struct str symbol)
{
	struct str package = only(file, FILE_PACKAGE);
	struct str rest = package.n > 0 ? within(package, symbol) : symbol;

	return rest.p != NULL && (any(file, FILE_MESSAGE, rest, message_declares) ||
	    any(file, FILE_ENUM, rest, enum_declares) || any(file, FILE_SERVICE, rest, service_declares) ||
	    any(file, FILE_EXTENSION, rest, is_named));
}

/* ---- files -------------------------------------------------------------------------------------- */

static struct str find(bool (*fits)(struct str file, struct str what), struct str what)
{
	struct proto_scan s = { .rest = descriptors_embedded };
	struct str file;

	while (next(&s, SET_FILE, &file))
		if (fits(file, what))
			return file;
	return STR_NONE;
}

struct str descriptor_file(struct str name)
{
	return find(is_named, name);
}

struct str descriptor_file_of(struct str symbol)
{
	return find(file_declares, symbol);
}

static bool has_message(struct str file, struct str name)
{
	struct str rest = within(only(file, FILE_PACKAGE), name);

	return rest.p != NULL && any(file, FILE_MESSAGE, rest, message_is);
}

bool descriptor_is_message(struct str name)
{
	return find(has_message, name).p != NULL;
}

/* ---- services ----------------------------------------------------------------------------------- */

static bool is_served(struct str service)
{
	for (size_t i = 0; i < ops_count; i++) {
		struct str method, name = str_cut(str_skip(str_c(ops_all[i].path), 1), '/', &method);

		if (ops_all[i].body == BODY_GRPC && str_eq(name, service))
			return true;
	}
	return false;
}

void descriptor_services(void (*each)(void *arg, struct str name), void *arg)
{
	struct proto_scan files = { .rest = descriptors_embedded };
	struct str file, service;

	while (next(&files, SET_FILE, &file)) {
		struct proto_scan s = { .rest = file };
		struct str package = only(file, FILE_PACKAGE);

		while (next(&s, FILE_SERVICE, &service)) {
			struct str short_name = only(service, ANY_NAME);
			char name[NAME_MAX_LEN];
			int n = snprintf(name, sizeof name, "%.*s.%.*s", STR_ARG(package),
			    STR_ARG(short_name));

			if (n < NAME_MAX_LEN && is_served(str_n(name, (size_t)n)))
				each(arg, str_n(name, (size_t)n));
		}
	}
}
