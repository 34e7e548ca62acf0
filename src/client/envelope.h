/* What an answer of the gateway says: its JSON, or the error that its envelope names. Pure; any
 * thread. */
#ifndef CLIENT_ENVELOPE_H
#define CLIENT_ENVELOPE_H

#include "base/err.h"

struct http_reply;
struct json_t;

/* 2xx: OK, *body is the JSON (owned by the caller; NULL when there is none). Otherwise the error: by
 * the envelope's code, or by the status where there is no envelope or its code is new to us; its
 * text and details in f. r->request_id is completed from the envelope. */
enum err envelope_read(struct http_reply *r, struct json_t **body, struct fail *f);

#endif
