/* Writes JSON onto a buffer, commas and escapes included. Errors gather in the buffer
 * (buf_err). Not thread-safe; no state outside the struct. */
#ifndef BASE_JSONW_H
#define BASE_JSONW_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/id.h"

struct jsonw {
	struct buf *out;
	bool comma; /* the next value at this level wants one before it */
};

static inline struct jsonw jsonw_on(struct buf *out)
{
	return (struct jsonw){ .out = out };
}
void jsonw_obj(struct jsonw *w);     /* { */
void jsonw_obj_end(struct jsonw *w); /* } */
void jsonw_arr(struct jsonw *w);
void jsonw_arr_end(struct jsonw *w);
void jsonw_key(struct jsonw *w, const char *key);
/* Values: after a key, or as an element. Text that is not UTF-8 is written with U+FFFD, STR_NONE as null. */
void jsonw_str(struct jsonw *w, struct str s);
void jsonw_int(struct jsonw *w, int64_t v);
void jsonw_bool(struct jsonw *w, bool v);
void jsonw_null(struct jsonw *w);
void jsonw_raw(struct jsonw *w, struct str json); /* already JSON */
void jsonw_id(struct jsonw *w, struct id id);
void jsonw_time(struct jsonw *w, int64_t wall); /* RFC 3339 */
/* key and value in one */
void jsonw_kstr(struct jsonw *w, const char *key, struct str s);
void jsonw_kz(struct jsonw *w, const char *key, const char *z);
void jsonw_kint(struct jsonw *w, const char *key, int64_t v);
void jsonw_kbool(struct jsonw *w, const char *key, bool v);
void jsonw_kid(struct jsonw *w, const char *key, struct id id);
void jsonw_ktime(struct jsonw *w, const char *key, int64_t wall);
void jsonw_ktime_or_null(struct jsonw *w, const char *key, int64_t wall); /* 0: null */

/* Appends s as a JSON string with its quotes. */
void jsonw_escape(struct buf *b, struct str s);

#endif
