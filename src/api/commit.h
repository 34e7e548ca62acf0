/* Ends a mutation: the gathered write goes to the store and, when caches depend on it, holds on every
 * worker of this replica before this returns. Control lane. */
#ifndef API_COMMIT_H
#define API_COMMIT_H

#include "base/err.h"

struct ctl;
struct request;
struct write;

enum err commit(struct ctl *c, struct request *r, struct write *w, struct fail *f);

#endif
