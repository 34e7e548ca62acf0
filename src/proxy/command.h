/* A command between its two forms, JSON over HTTP and SubmitCommand over gRPC: what both ways of
 * bringing one share. Worker thread. */
#ifndef PROXY_COMMAND_H
#define PROXY_COMMAND_H

#include "base/err.h"
#include "base/str.h"
#include "proxy/relay.h"

/* A new UUIDv7 as text, in the arena. .p NULL: out of memory. */
struct str command_id_new(struct request *r);
/* SubmitCommand with `message` on the relay's shard, which speaks gRPC. */
STEP command_send_grpc(struct relay *x, struct str message);
/* POST /v1/commands/{type}/{id} on an http shard. */
STEP command_send_http(struct relay *x, struct str type, struct str id, struct str json);

/* A SubmitCommandResponse as the JSON of CONTRACT 3, appended to `out`. E_BAD_UPSTREAM: it is none, or
 * carries what is not JSON. */
enum err command_answer_to_json(struct str message, struct buf *out);
/* And back: the JSON as a message in the arena. */
enum err command_answer_from_json(struct arena *a, struct str json, struct str *message);

#endif
