/* Lists: page_size and page_token of the query, and the answer's form. A token is the key of the last
 * item of the page before, so every page costs the same. Control lane. */
#ifndef API_PAGE_H
#define API_PAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/id.h"
#include "base/jsonw.h"
#include "base/str.h"

struct request;

#define PAGE_SIZE 50
#define PAGE_SIZE_MAX 500
#define PAGE_QUERY "page_size", "page_token"

/* What a list is ordered by. */
enum page_key {
	PAGE_BY_TEXT,
	PAGE_BY_ID,
	PAGE_BY_NUMBER /* newest first */
};

struct page {
	size_t size;
	struct str after; /* PAGE_BY_TEXT: the key; .p NULL: from the start */
	bool has_id;      /* PAGE_BY_ID: not from the start */
	struct id id;
	int64_t before;   /* PAGE_BY_NUMBER; 0: from the newest */
};

/* E_INVALID_PARAMETER. */
enum err page_read(struct request *r, enum page_key by, struct page *out, struct fail *f);
/* Rows to ask the store for: one more than fit, to know whether there is a next page. */
static inline int64_t page_limit(const struct page *p)
{
	return (int64_t)p->size + 1;
}
/* How many of n rows belong on the page. */
static inline size_t page_count(const struct page *p, size_t n)
{
	return n < p->size ? n : p->size;
}
/* {"items":[ and ],"next_page_token":...}; n rows were read, `last` is the key of the page's last. */
struct jsonw page_begin(struct request *r);
void page_end(struct jsonw *w, const struct page *p, size_t n, struct str last);
/* The same where there is one page alone. */
void page_end_only(struct jsonw *w);

#endif
