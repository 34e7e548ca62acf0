/* Server reflection (grpc.reflection.v1, and v1alpha with the same messages under another name): what this
 * server serves, told from the descriptors that are embedded. Everybody may ask: the proto files are no
 * secret, and nothing of any tenant is in them. Worker thread. */
#ifndef API_REFLECTION_H
#define API_REFLECTION_H

#include "base/err.h"
#include "base/str.h"
#include "request/request.h"

struct api;
struct buf;

STEP op_reflection(struct api *a, struct request *r);
/* The ServerReflectionResponse to a ServerReflectionRequest, appended to out. What is not found is said in
 * it; E_BAD_REQUEST: it is no such message. E_NOMEM, E_LIMIT. */
enum err reflection_answer(struct str question, struct buf *out);

#endif
