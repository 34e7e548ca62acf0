/* Configurations that were in force once. Anybody may still hold a string of one, so they stay until the
 * end: some kilobytes for each change of the configuration. Main thread. */
#ifndef GATEWAYD_RETIRED_H
#define GATEWAYD_RETIRED_H

#include "base/err.h"

struct config;

struct retired {
	struct retired *next;
	struct config *config; /* NULL: room for the next */
};

/* Room for one more; E_NOMEM. Once the workers have the configuration that comes after it, nothing may
 * fail. */
enum err retired_reserve(struct retired **list);
/* Into the room that was reserved. */
void retired_add_take(struct retired *list, struct config *c);
/* Frees all of them. */
void retired_free(struct retired *list);

#endif
