/* Answers whose time must tell nothing: they wait until r->not_before, however soon they were ready. And
 * refusals of those who come too soon (429), which wait for SHED_DELAY, for the reason in shed.h. The
 * wait is a timer of the worker and costs nothing else. Worker thread of the request. */
#ifndef API_STEADY_H
#define API_STEADY_H

#include "request/request.h"

/* As request_reply and request_fail, when it is time. */
STEP steady_reply(struct request *r);
STEP steady_fail(struct request *r, const struct fail *f);

#endif
