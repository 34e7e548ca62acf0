#include "front/date.h"

#include <time.h>

#include "base/clock.h"

struct str date_at(struct date *d, int64_t wall)
{
	time_t second = (time_t)(wall / CLOCK_SEC);
	struct tm tm;

	if (second != d->second) {
		d->second = second;
		gmtime_r(&second, &tm);
		strftime(d->text, sizeof d->text, "%a, %d %b %Y %H:%M:%S GMT", &tm);
	}
	return str_n(d->text, 29);
}
