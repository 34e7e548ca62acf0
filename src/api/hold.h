/* Answers that are held back. Those whose time must tell nothing wait until r->not_before, however soon
 * they were ready. And refusals of what nobody has time for, or what comes too soon (503 overloaded, 429),
 * wait for a moment: a client that tries again as soon as it is refused would make the refusals the work,
 * and everyone's requests would wait behind them; so it can't ask faster than that on one connection or
 * stream. The wait is a timer of the worker and costs nothing else. Worker thread of the request. */
#ifndef API_HOLD_H
#define API_HOLD_H

#include "request/request.h"

/* A refusal is held for HOLD_REFUSAL to HOLD_REFUSAL + HOLD_SPREAD: clients that were refused together
 * must not come back together. */
#define HOLD_REFUSAL (50 * CLOCK_MS)
#define HOLD_SPREAD (32 * CLOCK_MS)

/* As request_reply, request_fail and request_fail_code, when it is time. */
STEP hold_reply(struct request *r);
STEP hold_fail(struct request *r, const struct fail *f);
STEP hold_fail_code(struct request *r, enum err e);

#endif
