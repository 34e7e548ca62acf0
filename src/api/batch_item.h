/* One item of a batch: from its JSON to the request of the single operation that it stands for, and
 * from that request's answer to its place in the results. Worker thread. */
#ifndef API_BATCH_ITEM_H
#define API_BATCH_ITEM_H

#include "base/err.h"
#include "base/str.h"

struct buf;
struct request;

/* `raw` is a JSON value that has been scanned. Path parameters go to `part`, what is left becomes its
 * body, byte for byte. E_INVALID_FIELD, E_UNKNOWN_FIELD, E_BAD_JSON (a name twice), E_NOMEM. */
enum err batch_command_read(struct request *part, struct str raw, struct fail *f);
enum err batch_query_read(struct request *part, struct str raw, struct fail *f);

/* Status and body; or status, code, error ... for an answer that is the gateway's own error, that is not
 * JSON (bad_upstream), or that is longer than *room (answer_too_large). Takes what the body needs from
 * *room. E_NOMEM. */
enum err batch_result_write(struct request *part, size_t *room, struct buf *out);

#endif
