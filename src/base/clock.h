/* Time. Wall time is microseconds since the Unix epoch (UTC), monotonic time microseconds since an
 * arbitrary point. Code that decides by time takes `now` as a parameter; only the edges call these.
 * Any thread. */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"

#define CLOCK_SEC INT64_C(1000000)
#define CLOCK_MS INT64_C(1000)

int64_t clock_wall(void);
int64_t clock_mono(void);

#define CLOCK_RFC3339_LEN 25 /* with the NUL */
/* "2026-11-21T00:12:40.123Z" (RFC 3339, UTC, milliseconds). Returns out. */
char *clock_rfc3339(int64_t wall, char out[CLOCK_RFC3339_LEN]);
/* Accepts RFC 3339 with any offset and fraction. */
bool clock_parse_rfc3339(struct str s, int64_t *wall);
/* "300", "5m", "30d", "200ms", "1h30m": a duration in microseconds. A bare number is seconds. */
bool clock_parse_duration(struct str s, int64_t *us);

#endif
