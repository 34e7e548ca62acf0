/* Many commands or queries in one request: every item is a request of the single operation in all but
 * its own head. It is authorized and run by that operation's row, so that what holds for one holds for
 * each of a hundred. At most BATCH_AT_ONCE are under way at a time; answers keep the order of the items,
 * and one that fails says so in its own place. Worker thread. */
#ifndef API_BATCH_H
#define API_BATCH_H

#include "request/request.h"

struct api;

#define BATCH_ITEMS 100
#define BATCH_AT_ONCE 16
#define BATCH_ANSWER (7u << 20) /* bytes of node answers in one batch */

STEP op_command_batch(struct api *a, struct request *r);
STEP op_query_batch(struct api *a, struct request *r);

#endif
