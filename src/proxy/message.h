/* Packing protobuf-c messages into a request's arena. Worker thread. */
#ifndef PROXY_MESSAGE_H
#define PROXY_MESSAGE_H

#include <protobuf-c/protobuf-c.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"

/* E_NOMEM. */
enum err message_pack(struct arena *a, const ProtobufCMessage *m, struct str *out);

#endif
