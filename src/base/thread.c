#include "base/thread.h"

#include <signal.h>

enum err thread_start(pthread_t *t, const char *name, void *(*body)(void *arg), void *arg)
{
	sigset_t all, old;
	int rc;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	rc = pthread_create(t, NULL, body, arg);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (rc != 0)
		return E_NOMEM;
	pthread_setname_np(*t, name);
	return OK;
}
