#include "progress.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"

#define WIDTH 30
#define EVERY (CLOCK_SEC / 10)

void progress_init(struct progress *p, const char *what, int64_t total, int64_t count)
{
	*p = (struct progress){ .on = isatty(STDERR_FILENO) != 0, .what = what, .total = total,
		.start = clock_mono(), .start_count = count };
}

static void draw_bar(const struct progress *p, int64_t done)
{
	char bar[WIDTH + 1];
	int64_t full = done < p->total ? done * WIDTH / p->total : WIDTH;

	memset(bar, '.', WIDTH);
	memset(bar, '#', (size_t)full);
	bar[WIDTH] = '\0';
	fprintf(stderr, "%3" PRId64 "%% [%s] ", done < p->total ? done * 100 / p->total : 100, bar);
}

void progress_show(struct progress *p, int64_t done, int64_t count)
{
	int64_t now = clock_mono(), spent = now - p->start;

	if (!p->on || now - p->last < EVERY)
		return;
	p->last = now;
	fputs("\r\033[K", stderr);
	if (p->total > 0)
		draw_bar(p, done);
	fprintf(stderr, "%" PRId64 " %s", count, p->what);
	if (spent > EVERY)
		fprintf(stderr, ", %" PRId64 "/s", (count - p->start_count) * CLOCK_SEC / spent);
	fflush(stderr);
}

void progress_clear(struct progress *p)
{
	if (p->on && p->last != 0)
		fputs("\r\033[K", stderr);
	p->last = 0;
}
