#include "uuid.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <time.h>

void uuid_make(char out[UUID_TEXT])
{
	struct timespec now;
	uint16_t r[5];
	uint64_t ms;

	clock_gettime(CLOCK_REALTIME, &now);
	ms = (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
	if (getrandom(r, sizeof r, 0) != sizeof r)
		abort();
	snprintf(out, UUID_TEXT, "%08x-%04x-%04x-%04x-%04x%04x%04x", (unsigned)(ms >> 16),
	         (unsigned)(ms & 0xffff), 0x7000 | (r[0] & 0xfff), 0x8000 | (r[1] & 0x3fff), r[2],
	         r[3], r[4]);
}

void time_text(char out[TIME_TEXT])
{
	struct timespec now;
	struct tm tm;
	char day[20];

	clock_gettime(CLOCK_REALTIME, &now);
	gmtime_r(&now.tv_sec, &tm);
	strftime(day, sizeof day, "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(out, TIME_TEXT, "%s.%03uZ", day,
	         (unsigned)((unsigned long)now.tv_nsec / 1000000 % 1000));
}
