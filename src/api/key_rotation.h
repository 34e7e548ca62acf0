/* Signing keys rotate by themselves: every auth.key_rotation the next key becomes the active one, on
 * whichever replica is first; the store lets one of them. Control lane. */
#ifndef API_KEY_ROTATION_H
#define API_KEY_ROTATION_H

#include <stdint.h>

struct config;
struct ctl;

/* How long a key that signs no more is still good, microseconds: the life of an access token, and some
 * for the clocks of those who verify. */
int64_t key_keep_us(const struct config *c);
/* Rotates when it is due; says in the log and the audit log what it did, and why not. Returns after how
 * many microseconds to ask again. */
int64_t key_rotation_run(struct ctl *c, int64_t now);

#endif
