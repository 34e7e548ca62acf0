/* What the handlers of /admin/routing share: the routing document as the store has it now, and the answer
 * that shows one. Control lane. */
#ifndef API_ROUTING_REPLY_H
#define API_ROUTING_REPLY_H

#include "base/err.h"

struct ctl;
struct request;
struct route_table;

/* The newest revision in the store, or an empty table; a reference. Made from the table in force, so it
 * costs what changed since. E_ROUTING_INVALID: what is stored can't be used. */
enum err routing_stored(struct ctl *c, struct route_table **out, struct fail *f);
/* Answers 200 with the document and its etag. A caller of an operation that changes something, and who
 * prefers return=minimal (RFC 7240, 4.2), gets its revision alone. */
enum err routing_reply(struct request *r, const struct route_table *t, struct fail *f);

#endif
