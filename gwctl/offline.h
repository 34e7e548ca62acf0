/* Verbs that work on the store itself, without a server: which store, and with which configuration.
 * One thread. */
#ifndef GWCTL_OFFLINE_H
#define GWCTL_OFFLINE_H

#include <stdbool.h>

#include "base/err.h"

struct config;
struct gwctl;
struct store;

/* --config FILE and --store URL onto the defaults, as gatewayd reads them. The caller frees *c. */
enum err offline_config(const struct gwctl *g, struct config **c, struct fail *f);
enum err offline_open(const struct config *c, bool read_only, struct store **s, struct fail *f);

#endif
