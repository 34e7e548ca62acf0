/* Roles that people made: the tables `role` and `role_grant`. The built-in ones are in no table
 * (authz/decision.h); callers refuse to change them. Reading is role_reader.h. Functions that change
 * append to a write; every change makes all replicas reload the roles. */
#ifndef IAM_ROLE_H
#define IAM_ROLE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"
#include "iam/role_reader.h"

struct write;

#define ROLE_ID_MAX 63
#define ROLE_NAME_MAX 200
#define ROLE_GRANTS_MAX 200

/* [a-z0-9][a-z0-9._-]{0,62} */
bool role_id_is_valid(struct str id);

/* Adds r with its grants (version and built_in are not looked at). E_CONFLICT: the id is taken.
 * E_INVALID_FIELD: its tenant does not exist. */
void role_insert(struct write *w, const struct role_def *r);

struct role_patch {
	bool set_name;
	struct str name;
	bool set_grants; /* replaces all of them */
	const struct role_grant *grants;
	size_t n;
};
/* if_version 0: any; else E_PRECONDITION_FAILED. E_NOT_FOUND. */
void role_update(struct write *w, struct str id, int64_t if_version, const struct role_patch *p);
/* E_CONFLICT while it is assigned. */
void role_delete(struct write *w, struct str id, int64_t if_version);

#endif
