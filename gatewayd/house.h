/* The listeners and the workers behind them: bound, made, started, drained and unmade together. Main
 * thread only. */
#ifndef GATEWAYD_HOUSE_H
#define GATEWAYD_HOUSE_H

#include <signal.h>

#include "base/err.h"

struct config;
struct control;
struct house;

/* Binds all listeners and makes the workers; nothing is served yet. */
enum err house_open(struct control *c, const struct config *config, struct house **out,
    struct fail *f);
/* Starts the feed and the workers; says in the log where it listens. */
enum err house_start(struct house *h, struct fail *f);
/* Stops accepting, lets requests in flight finish until drain.timeout; a second SIGTERM or SIGINT
 * ends the wait. */
void house_drain(struct house *h, const sigset_t *signals);
void house_close(struct house *h);

#endif
