/* The Date field of answers, made once a second. Plain data. */
#ifndef FRONT_DATE_H
#define FRONT_DATE_H

#include <stdint.h>

#include "base/str.h"

/* Zero-initialise. */
struct date {
	int64_t second;
	char text[32];
};

/* IMF-fixdate (RFC 9110, 5.6.7) of `wall`, microseconds; the view is good until the next call. */
struct str date_at(struct date *d, int64_t wall);

#endif
