/* Rows for tests of the identity core: a migrated store, a seal, users and administrators, and a way to
 * run the same thing on many threads at once. Not a test. */
#ifndef TESTS_IAM_FIXTURE_H
#define TESTS_IAM_FIXTURE_H

#include "base/id.h"
#include "crypto/seal.h"
#include "iam/user.h"
#include "iam/write.h"
#include "rqlited.h"
#include "store_fixture.h"

#define NOW INT64_C(1750000000000000)

struct iam {
	struct fixture x;
	struct store *other; /* what a second replica works with; NULL on SQLite: x.store */
	struct seal *seal;
};

/* On a new SQLite file, for each test. */
int iam_setup(void **state);
int iam_teardown(void **state);
/* On three rqlite nodes that run for a group of tests, emptied for each; two clients. */
int iam_cluster_up(void **state);
int iam_cluster_down(void **state);
int iam_setup_rqlite(void **state);

/* What replica i of two has. */
static inline struct store *iam_store(const struct iam *t, int i)
{
	return i % 2 == 0 || t->other == NULL ? t->x.store : t->other;
}

/* One write of whatever `add` gathers. */
void iam_begin(struct iam *t, struct write *w);
enum err iam_commit(struct iam *t, struct write *w);
/* A user with that address and the password hash "phc"; must work. */
struct id iam_user(struct iam *t, const char *email);
void iam_tenant(struct iam *t, const char *id);
/* Assigns; must work. Returns the assignment's id. */
struct id iam_assign(struct iam *t, struct id principal, const char *tenant, const char *role);
int64_t iam_count(struct iam *t, const char *sql);

/* Runs fn(arg, i) on n threads that start together; returns when all have ended. */
void iam_together(int n, void (*fn)(void *arg, int i), void *arg);

#endif
