/* Starts threads. Signals are the main thread's: no other is ever interrupted by one. Any thread. */
#ifndef BASE_THREAD_H
#define BASE_THREAD_H

#include <pthread.h>

#include "base/err.h"

/* With all signals masked, in whatever it starts itself as well. name: what tools show of it, at
 * most 15 bytes. The caller joins it. E_NOMEM when there can't be one more. */
enum err thread_start(pthread_t *t, const char *name, void *(*body)(void *arg), void *arg);

#endif
