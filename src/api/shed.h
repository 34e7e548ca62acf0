/* Refusing what nobody has time for. A client that tries again as soon as it is refused would make the
 * refusals the work, and everyone's requests would wait behind them: so such a refusal is held for a
 * moment that costs nothing here, and the client can't ask faster than that on one connection or stream.
 * Worker thread of the request. */
#ifndef API_SHED_H
#define API_SHED_H

#include "request/request.h"

/* Answers 503 overloaded with Retry-After, SHED_DELAY to SHED_DELAY + SHED_SPREAD from now: clients that
 * were refused together must not come back together. */
#define SHED_DELAY (50 * CLOCK_MS)
#define SHED_SPREAD (32 * CLOCK_MS)
STEP shed_overloaded(struct request *r);

#endif
