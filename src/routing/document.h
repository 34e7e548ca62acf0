/* A routing document (CONTRACT 7), or a merge patch of one (RFC 7396), as it was read from text: what it
 * says, piece by piece, and the faults that can be seen without the table that it goes onto. Read in
 * one pass over the text, which is decoded in place; views point into it. Belongs to one thread. */
#ifndef ROUTING_DOCUMENT_H
#define ROUTING_DOCUMENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"
#include "routing/faults.h"
#include "routing/shard_set.h"
#include "routing/table.h"

/* A tenant and the name of its shard; .p NULL: it is taken out. */
struct route_doc_placement {
	struct str tenant, shard;
};

struct route_doc_kind {
	bool has_placements, has_shards;     /* the section is there */
	bool clear_placements, clear_shards; /* a patch: it is null */
	struct route_doc_placement *placements; /* as they came */
	size_t nplacements, placements_cap;
	struct shard_edit *shards;
	size_t nshards, shards_cap;
};

struct route_doc {
	bool patch;
	bool is_object;    /* else it says nothing */
	bool has_revision; /* and it is a whole number */
	bool odd_revision; /* it is something else */
	int64_t revision;
	struct route_doc_kind kind[ROUTE__KINDS];
	struct faults faults;
	struct arena arena;
};

/* The members of a document. */
const char *route_placement_section(enum route_kind k); /* "aggregate_placement" */
const char *route_shards_section(enum route_kind k);    /* "aggregate_shards" */

/* Initialises *out. `text` is written to and must outlive it. E_BAD_JSON, with the place, when it is no
 * JSON; all that is wrong with a document that is JSON waits in out->faults. E_NOMEM. */
enum err route_doc_read(char *text, size_t n, bool patch, struct route_doc *out, struct fail *f);
void route_doc_release(struct route_doc *d);

#endif
