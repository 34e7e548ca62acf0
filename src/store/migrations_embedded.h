/* The migrations of migrations/NNNN_name.sql as the build embedded them, in ascending order of
 * version, ended by an entry whose version is 0. Constant data: any thread may read it. */
#ifndef STORE_MIGRATIONS_EMBEDDED_H
#define STORE_MIGRATIONS_EMBEDDED_H

#include <stddef.h>

struct migration {
	int version;
	const char *name;
	const char *sql; /* NUL-terminated, as in the file */
	size_t len;      /* bytes of sql without the NUL */
};

extern const struct migration migrations_embedded[];

#endif
