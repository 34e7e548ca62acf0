/* Role definitions as the store has them: what a role allows. Reading only; role.c changes them. */
#ifndef IAM_ROLE_READER_H
#define IAM_ROLE_READER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/str.h"

struct arena;
struct store;

struct role_grant {
	struct str right;    /* "command.submit", "iam.*" or "*" */
	struct str resource; /* glob; "*" when none was given */
};
struct role_def {
	struct str id, name;
	struct str tenant; /* .p NULL: usable in every tenant */
	bool built_in;
	const struct role_grant *grants;
	size_t n;
	int64_t version;
};

/* All roles with their grants, by id, from one snapshot (STORE_LINEAR), in `a`. Blocking: control
 * lane. */
enum err role_read_all(struct store *s, struct arena *a, struct role_def **out, size_t *n,
    struct fail *f);

#endif
