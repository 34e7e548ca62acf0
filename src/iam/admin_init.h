/* The first platform admin, made on the command line before there is anybody who could make one. What
 * it does not do: migrate the store, or make a second one. Blocking: command line. */
#ifndef IAM_ADMIN_INIT_H
#define IAM_ADMIN_INIT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/str.h"

struct config;
struct id;
struct store;

/* Makes the user (with a verified address) and its assignment to platform-admin in one batch.
 * E_CONFLICT when there is a platform admin, E_EMAIL_TAKEN, E_INVALID_FIELD, E_WEAK_PASSWORD. `now`
 * is wall time in microseconds; of c, auth.argon2 and auth.password are looked at. dry_run: all of it is
 * tried, and nothing is kept. */
enum err iam_admin_init(struct store *s, struct str email, struct str password,
    const struct config *c, int64_t now, bool dry_run, struct id *user, struct fail *f);

#endif
