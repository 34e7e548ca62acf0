/* The key that seals what the store keeps secret: from the configuration, or beside the SQLite file.
 * Main thread. */
#ifndef GATEWAYD_MASTER_KEY_H
#define GATEWAYD_MASTER_KEY_H

#include <stdbool.h>

#include "base/err.h"

struct config;
struct seal;
struct store;

/* Beside the SQLite file when no key is configured, where one is made the first time (not for `check`);
 * with rqlite replicas share it, so it must be configured. A store that was sealed already needs the key
 * that it was sealed with: another one is not made. E_CONFIG. */
enum err master_key_open(const struct config *config, struct store *s, bool check, struct seal **out,
    struct fail *f);

#endif
