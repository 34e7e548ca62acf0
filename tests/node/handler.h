/* What each HTTP path of the node answers. Any thread. */
#ifndef NODE_HANDLER_H
#define NODE_HANDLER_H

#include "answer.h"

struct request;

void handler_run(const struct request *r, struct slice body, struct answer *a);

#endif
