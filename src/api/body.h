/* Request bodies: strict JSON (RFC 8259, no duplicate members, bounded depth) decoded into a struct by
 * a const table of fields. What the table does not name is refused by name. The same tables are the
 * request schemas of openapi.json. Control lane: the thread that owns the request. */
#ifndef API_BODY_H
#define API_BODY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/id.h"
#include "base/str.h"

struct json_t;
struct request;

#define BODY_DEPTH 32

/* What the table's offsets point at. `set`: the member was there. */
struct body_str {
	bool set;
	struct str v; /* .p NULL: null was given (BODY_NULLABLE) or nothing */
};
struct body_bool {
	bool set, v;
};
struct body_int {
	bool set;
	int64_t v;
};
struct body_id {
	bool set;
	struct id v;
};
struct body_json {
	bool set;
	struct json_t *v; /* borrowed; lives as long as the request */
};

enum body_type {
	BODY_T_STR,   /* struct body_str; min and max count bytes */
	BODY_T_BOOL,  /* struct body_bool */
	BODY_T_INT,   /* struct body_int; min and max are values */
	BODY_T_ID,    /* struct body_id: a UUID */
	BODY_T_TIME,  /* struct body_int: RFC 3339 text, microseconds */
	BODY_T_ARRAY, /* struct body_json: min and max count elements */
	BODY_T_OBJECT /* struct body_json */
};

enum { BODY_REQUIRED = 1, BODY_NULLABLE = 2, BODY_SECRET = 4 /* wiped when the request ends */ };

struct body_field {
	const char *name; /* NULL ends a table */
	enum body_type type;
	unsigned flags;
	size_t offset;
	int64_t min, max;             /* max 0: no bound */
	bool (*check)(struct str s);  /* BODY_T_STR: further rule; NULL: none */
	const char *rule;             /* what `check` wants, for people: "must be an e-mail address" */
	const char *const *words;     /* BODY_T_STR: the values that are allowed; NULL-terminated */
	const char *help;
};

/* Decodes r->body into *out (zeroed first by this call: size bytes). An empty body is an empty object.
 * E_BAD_JSON with the position, E_UNKNOWN_FIELD, E_INVALID_FIELD with details {"field": name}. When the
 * table has a secret, r->body is wiped here and the decoded text when the request ends. */
enum err body_read(struct request *r, const struct body_field *fields, void *out, size_t size,
    struct fail *f);
/* The same for one object inside of a body; `path` is put before field names ("rights[0]"). */
enum err body_object(struct json_t *object, const struct body_field *fields, const char *path,
    void *out, size_t size, struct fail *f);
/* For operations whose body has no members: empty, or an empty object. */
enum err body_none(struct request *r, struct fail *f);
/* E_INVALID_FIELD with the field's name and why. */
enum err body_invalid(struct fail *f, const char *field, const char *why);

#endif
