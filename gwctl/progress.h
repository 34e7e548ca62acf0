/* How far a long command is, on one line of the terminal that stderr is. Draws nothing elsewhere. */
#ifndef GWCTL_PROGRESS_H
#define GWCTL_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

struct progress {
	bool on;
	const char *what;    /* "users" */
	int64_t total;       /* of what `done` counts; 0: not known */
	int64_t start, last; /* monotonic microseconds */
	int64_t start_count;
};

void progress_init(struct progress *p, const char *what, int64_t total, int64_t count);
/* done of total (bytes), count things by now; a few times a second is enough, more is ignored. */
void progress_show(struct progress *p, int64_t done, int64_t count);
/* Takes the line away, so that something else can be written there. */
void progress_clear(struct progress *p);

#endif
