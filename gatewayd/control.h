/* The control side of the gateway: the store and what is made from it (keys, roles, routes, the change
 * feed), the pool of control threads, and `struct ctl`, which handlers see.
 *
 * Made and freed by the main thread. Snapshots are replaced by the feed thread alone; a mutex guards
 * the pointers, whoever reads gets a reference. */
#ifndef GATEWAYD_CONTROL_H
#define GATEWAYD_CONTROL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct config;
struct control;
struct worker;
struct worker_config;
struct worker_snapshots;

/* Opens the store, brings the schema up (or checks it), loads keys, roles and routes. `check`: changes
 * nothing, makes no key. The config is taken in any case of success and kept until control_free. */
enum err control_new(struct config *config, bool check, struct control **out, struct fail *f);
/* After the workers have been joined. */
void control_free(struct control *c);

/* What a worker stands on: all of it lives as long as c, and so do the flags that SIGHUP changes. */
void control_equip(struct control *c, struct worker_config *w);
/* Borrowed, for worker_new on the main thread before the feed starts. */
void control_snapshots(struct control *c, struct worker_snapshots *s);

/* The port that listen.http got: what hangs on it (auth.issuer) is resolved again. Before the
 * workers are made. */
enum err control_bound(struct control *c, unsigned short http_port, struct fail *f);
/* From here on changes reach the workers. */
enum err control_feed_start(struct control *c, struct worker *const *w, size_t n, struct fail *f);
/* Main thread, several times a second: whether state is fresh enough to decide by. */
void control_tick(struct control *c);
/* SIGHUP: a configuration (taken on success) and the routing source are read again. */
enum err control_reload(struct control *c, struct config *next, struct fail *f);
/* /ready fails from here on. How long requests that are under way are waited for, in microseconds. */
int64_t control_drain(struct control *c);
/* Ends the feed: after this no message is posted to workers by it. Workers still run. */
void control_feed_stop(struct control *c);
/* Ends the control threads once their jobs are done. */
void control_lane_stop(struct control *c);
/* The workers are about to be freed. */
void control_forget_workers(struct control *c);

#endif
