/* Assignments: who has which role in which tenant; the table `assignment`. They are made and removed,
 * never changed. Functions that change append to a write. Blocking where a store is given.
 *
 * A platform admin is an enabled user with the role platform-admin in every tenant ("*"). */
#ifndef IAM_ASSIGNMENT_H
#define IAM_ASSIGNMENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/id.h"
#include "store/store.h"

struct write;

#define ROLE_PLATFORM_ADMIN STR("platform-admin")

struct assignment {
	struct id id, principal;
	struct str tenant, role;
	bool has_creator;
	struct id created_by;
	int64_t created_at;
};

/* E_NOT_FOUND. */
enum err assignment_by_id(struct store *s, struct id id, struct arena *a, struct assignment *out,
    struct fail *f);
/* Adds as (id, principal, tenant, role, created_by). E_INVALID_FIELD: principal, tenant (unless "*") or
 * role is not there, or the role belongs to another tenant (built_in: the role is one of the
 * built-in ones, which are in no table). E_CONFLICT: it exists. */
void assignment_insert(struct write *w, const struct assignment *as, bool built_in);
/* E_NOT_FOUND; E_LAST_ADMIN. */
void assignment_delete(struct write *w, const struct assignment *as);
/* All of a principal's; no guard. */
void assignment_delete_all(struct write *w, struct id principal);
/* All in a tenant (not "*"); no guard. */
void assignment_delete_tenant(struct write *w, struct str tenant);
/* Guard: a platform admin is left after the statements before this one. E_LAST_ADMIN. */
void assignment_guard_admin(struct write *w);
/* Guard: there is no platform admin yet. E_CONFLICT. For the first one. */
void assignment_guard_no_admin(struct write *w);

struct assignment_filter {
	bool by_principal;
	struct id principal;
	struct str tenant, role; /* .p NULL: all */
	bool after_set;
	struct id after;
	int64_t limit;
};
/* In the order of ids. */
enum err assignment_list(struct store *s, const struct assignment_filter *q, struct arena *a,
    struct assignment **out, size_t *n, struct fail *f);
/* The tenants ("*" too) that a principal is assigned to, each once; at most max. *n may come back as
 * max + 1: there are more. */
enum err assignment_tenants(struct store *s, struct id principal, size_t max, struct arena *a,
    struct str *out, size_t *n, struct fail *f);

#endif
