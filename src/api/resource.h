/* What the admin API does alike for every kind of resource: lists by the page, one by its path, 404, the
 * etag and If-Match, the audit record's "before", a new try when another write was faster, the answer.
 * A kind is a const table of what it alone knows; the operation's row names it (op->of). Rules of one
 * kind (who may, what must hold) are no business of this. Control lane. */
#ifndef API_RESOURCE_H
#define API_RESOURCE_H

#include <stddef.h>

#include "api/page.h"
#include "base/err.h"

struct body_field;
struct ctl;
struct jsonw;
struct request;
struct write;

#define RESOURCE_FIXED 1 /* the version of rows that never change */

struct resource {
	size_t size;       /* of a row */
	enum page_key by;  /* what lists are ordered by, and where it is in a row */
	size_t key;
	size_t version;    /* where the int64_t is that the etag shows; 0: RESOURCE_FIXED */
	const char *taken; /* what E_CONFLICT means when one is made or changed; NULL: as it is */
	const char *in_use; /* and when one is removed */

	void (*write)(struct jsonw *w, const void *row);
	/* The row that the path names, in the request's arena. E_NOT_FOUND. */
	enum err (*find)(struct ctl *c, struct request *r, void *row, struct fail *f);
	/* The rows behind the page's key, at most page_limit of them, by the filters of the query. */
	enum err (*list)(struct ctl *c, struct request *r, const struct page *page, void **rows,
	    size_t *n, struct fail *f);
	/* Of what can be changed: the body of PATCH, and its size when it is read (body.h). */
	const struct body_field *change;
	size_t change_size;
	/* Gets the row as it is and such a body; refuses, or adds to the write and leaves the row as it will
	 * be. May be called again with a newer row. When it adds nothing, nothing is written. */
	enum err (*edit)(struct ctl *c, struct request *r, struct write *w, void *row, const void *change,
	    struct fail *f);
	/* Adds to the write what takes the row away. */
	enum err (*remove)(struct ctl *c, struct request *r, struct write *w, const void *row,
	    struct fail *f);
};

/* Handlers of the operation table. */
enum err op_resource_get(struct ctl *c, struct request *r, struct fail *f);
enum err op_resource_list(struct ctl *c, struct request *r, struct fail *f);
enum err op_resource_change(struct ctl *c, struct request *r, struct fail *f);
enum err op_resource_delete(struct ctl *c, struct request *r, struct fail *f);

/* Commits w, which makes the row, and answers 201 with it. */
enum err resource_create(struct ctl *c, struct request *r, struct write *w, const void *row,
    struct fail *f);

#endif
