/* A file or pipe line by line, however long it is: one buffer of fixed size, lines past LINES_MAX are
 * passed over. What a line means is others' business; it may hold any byte. One thread. */
#ifndef GWCTL_LINES_H
#define GWCTL_LINES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/str.h"

#define LINES_MAX 65536 /* bytes of a line without its end */

struct lines {
	int fd;
	char *p;         /* LINES_MAX + 2 bytes */
	size_t at, n;    /* what is not taken yet is p[at..n) */
	int64_t offset;  /* of p[at] in the file */
	int64_t number;  /* of the line before it */
	bool eof;
};

struct line {
	struct str text; /* without LF or CRLF, and without a byte order mark on line 1 */
	int64_t number;  /* from 1 */
	bool too_long;   /* no text */
};

/* E_NOMEM. The file stays the caller's. */
enum err lines_init(struct lines *l, int fd, struct fail *f);
void lines_release(struct lines *l);
/* Goes on where another run stopped; the file must be one that can seek. E_LOCAL. */
enum err lines_seek(struct lines *l, int64_t offset, int64_t number, struct fail *f);
/* *more is false at the end. The text lives until the next call. E_LOCAL: reading failed. */
enum err lines_next(struct lines *l, struct line *out, bool *more, struct fail *f);

#endif
