/* Keys for keyrings of tests. */
#ifndef KEYRING_FIXTURE_H
#define KEYRING_FIXTURE_H

#include <stdint.h>

#include "crypto/keyring.h"

/* A new key with its thumbprint as kid; the ring takes it. */
struct keyring_entry keyring_entry_new(enum key_state state, int64_t not_after);

#endif
