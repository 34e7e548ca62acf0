/* The schemas of what operations take and answer, by the names in the operation table: the source of
 * openapi.json. What is taken is written from the tables that bodies are read with; what is answered
 * is one line here for each. Constant data. */
#ifndef API_SCHEMA_H
#define API_SCHEMA_H

#include <stddef.h>

#include "base/jsonw.h"

struct body_field;

/* fields: "id:uuid name:string? rights:[Grant]": member, its type; `?` may be null, `!` may be absent.
 * Types: string, integer, boolean, uuid, time, object, a schema's name, or [one of these]. A name
 * that ends in List is {"items":[...],"next_page_token"} of the schema before it and has no fields. */
struct schema {
	const char *name;
	const char *fields;             /* of an answer; NULL for a body */
	const struct body_field *body;  /* NULL for an answer */
};
extern const struct schema schemas_all[];
extern const size_t schemas_count;

/* NULL when there is none. Knows lists too. */
const struct schema *schema_find(const char *name);
/* The JSON schema (2020-12, as OpenAPI 3.1 uses it). */
void schema_write(struct jsonw *w, const struct schema *s);
/* {"$ref":"#/components/schemas/NAME"} */
void schema_ref(struct jsonw *w, const char *name);

#endif
