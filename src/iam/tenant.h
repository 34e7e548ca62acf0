/* Tenants: the table `tenant`, and the form of their ids. Functions that change append to a write.
 * Deleting a tenant takes its assignments with it; roles and service accounts of its own have to go
 * first, by the hand of whoever means it. Blocking where a store is given. */
#ifndef IAM_TENANT_H
#define IAM_TENANT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "store/store.h"

struct write;

#define TENANT_ID_MAX 63
#define TENANT_NAME_MAX 200
#define TENANT_EVERY STR("*") /* of an assignment that holds in every tenant */

struct tenant {
	struct str id, name;
	bool disabled; /* nobody may do anything in it, but a platform administrator to it */
	int64_t version, created_at, updated_at;
};

/* [a-z0-9][a-z0-9-]{0,62} */
bool tenant_id_is_valid(struct str id);

/* E_NOT_FOUND. */
enum err tenant_by_id(struct store *s, enum store_level level, struct str id, struct arena *a,
    struct tenant *out, struct fail *f);
/* E_CONFLICT when it exists. */
void tenant_insert(struct write *w, struct str id, struct str name);
struct tenant_patch {
	struct str name; /* .p NULL: stays */
	bool set_disabled, disabled;
};
/* if_version 0: any; else E_PRECONDITION_FAILED when it has moved on. E_NOT_FOUND when gone. */
void tenant_update(struct write *w, struct str id, int64_t if_version, const struct tenant_patch *p);
/* With its assignments. E_CONFLICT while roles or service accounts belong to it. */
void tenant_delete(struct write *w, struct str id, int64_t if_version);
/* Ids of those that are disabled, in order. */
enum err tenant_list_disabled(struct store *s, struct arena *a, struct str **out, size_t *n,
    struct fail *f);
/* In the order of ids, those after `after` (.p NULL: from the start). */
enum err tenant_list(struct store *s, struct str after, int64_t limit, struct arena *a,
    struct tenant **out, size_t *n, struct fail *f);

#endif
