/* Service accounts: machines as principals; the table `service_account`. `tenant` says whose
 * administrators manage one, not what it may do: that is assignments. Functions that change append to
 * a write. Blocking where a store is given. */
#ifndef IAM_SERVICE_ACCOUNT_H
#define IAM_SERVICE_ACCOUNT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/id.h"
#include "store/store.h"

struct write;

#define SERVICE_ACCOUNT_NAME_MAX 200

struct service_account {
	struct id id;
	struct str name;
	struct str tenant; /* .p NULL: the platform's */
	bool disabled;
	int64_t version, created_at, updated_at;
};

/* E_NOT_FOUND. */
enum err service_account_by_id(struct store *s, struct id id, struct arena *a,
    struct service_account *out, struct fail *f);
/* E_CONFLICT: the name is taken in its tenant. E_INVALID_FIELD: the tenant does not exist. */
void service_account_insert(struct write *w, const struct service_account *sa);

struct service_account_patch {
	bool set_name, set_disabled, disabled;
	struct str name;
};
/* if_version 0: any; else E_PRECONDITION_FAILED. E_NOT_FOUND. E_CONFLICT: the name is taken. */
void service_account_update(struct write *w, struct id id, int64_t if_version,
    const struct service_account_patch *p);
/* With credentials and assignments. */
void service_account_delete(struct write *w, struct id id, int64_t if_version);

struct service_account_filter {
	struct str tenant; /* .p NULL: all */
	bool after_set;
	struct id after;
	int64_t limit;
};
enum err service_account_list(struct store *s, const struct service_account_filter *q,
    struct arena *a, struct service_account **out, size_t *n, struct fail *f);

#endif
