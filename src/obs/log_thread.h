/* The thread that writes the access log to stderr, so that a slow disk or reader holds up no worker. Pages of
 * whole lines come to it by message. Made before the workers run, freed after they have ended. */
#ifndef OBS_LOG_THREAD_H
#define OBS_LOG_THREAD_H

#include <stdatomic.h>
#include <stdbool.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/loop.h"

struct log_thread;

struct log_page {
	struct loop_msg msg;
	atomic_bool away; /* the thread's, until it has written it */
	struct buf text;
};

enum err log_thread_new(struct log_thread **out);
/* Writes what it was given and ends. */
void log_thread_free(struct log_thread *t);
/* Any thread; the page is the thread's until `away` is false again. */
void log_thread_write(struct log_thread *t, struct log_page *p);
/* Waits until everything that the caller gave it is written. Not for workers. */
void log_thread_settle(struct log_thread *t);

#endif
