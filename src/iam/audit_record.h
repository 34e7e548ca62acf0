/* One audit record: what it says, its hash, its form as JSON, and the check of a chain of them. Pure:
 * any thread. Where records are kept is audit.h's business. */
#ifndef IAM_AUDIT_RECORD_H
#define IAM_AUDIT_RECORD_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/id.h"
#include "base/jsonw.h"
#include "base/str.h"

#define AUDIT_HASH 32

/* A view with .p NULL is absent. */
struct audit_record {
	int64_t seq, at; /* at: wall, microseconds; kept in whole milliseconds */
	struct id replica;
	bool has_actor;
	struct id actor;
	struct str actor_kind, actor_name, method, action, target, tenant;
	struct str before, after; /* JSON as audit_json makes it */
	struct str outcome, request_id, trace_id, source;
};

/* SHA-256 over the hash of the record before it and every field, each with its length, so that no two
 * records have the same bytes. */
void audit_record_hash(const struct audit_record *r, const unsigned char prev[AUDIT_HASH],
    unsigned char out[AUDIT_HASH]);
/* As GET /admin/audit and exports show it; hashes in hexadecimal. */
void audit_record_write(struct jsonw *w, const struct audit_record *r,
    const unsigned char prev[AUDIT_HASH], const unsigned char hash[AUDIT_HASH]);

/* JSON in the one form that is hashed: compact, members sorted, secrets removed, and past
 * AUDIT_JSON_MAX only its size and SHA-256. .p NULL for no text, no JSON, or no memory. */
#define AUDIT_JSON_MAX 65536
struct str audit_json(struct str text, struct arena *a);

/* Checks an export line by line, in ascending or descending order. Zero-initialise. */
struct audit_verify {
	int64_t lines, seq; /* checked so far; of the last one */
	bool descending;    /* as the second line showed */
	unsigned char prev[AUDIT_HASH], hash[AUDIT_HASH]; /* of the last one */
};
/* One line of JSON. E_INVALID_FIELD with what is wrong: not a record, a hash that is not that of its
 * fields, a line that does not follow the one before. */
enum err audit_verify_line(struct audit_verify *v, struct str line, struct fail *f);

#endif
