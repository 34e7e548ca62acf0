#include "base/clock.h"

#include <stdio.h>
#include <time.h>

static int64_t get(clockid_t id)
{
	struct timespec ts;

	clock_gettime(id, &ts);
	return ts.tv_sec * CLOCK_SEC + ts.tv_nsec / 1000;
}

int64_t clock_wall(void)
{
	return get(CLOCK_REALTIME);
}

int64_t clock_mono(void)
{
	return get(CLOCK_MONOTONIC);
}

char *clock_rfc3339(int64_t wall, char out[CLOCK_RFC3339_LEN])
{
	time_t sec = (time_t)(wall / CLOCK_SEC);
	struct tm tm;

	gmtime_r(&sec, &tm);
	snprintf(out, CLOCK_RFC3339_LEN, "%04u-%02u-%02uT%02u:%02u:%02u.%03uZ",
	    (unsigned)(tm.tm_year + 1900) % 10000, (unsigned)(tm.tm_mon + 1) % 100,
	    (unsigned)tm.tm_mday % 100, (unsigned)tm.tm_hour % 100, (unsigned)tm.tm_min % 100,
	    (unsigned)tm.tm_sec % 100, (unsigned)(wall / CLOCK_MS % 1000) % 1000);
	return out;
}

/* n digits at *s; moves on. */
static bool digits(struct str *s, size_t n, int *out)
{
	uint64_t v;

	if (s->n < n || !str_u64(str_n(s->p, n), 9999, &v))
		return false;
	*out = (int)v;
	*s = str_skip(*s, n);
	return true;
}

static bool lit(struct str *s, const char *any)
{
	if (s->n == 0 || strchr(any, s->p[0]) == NULL || s->p[0] == '\0')
		return false;
	*s = str_skip(*s, 1);
	return true;
}

static bool offset(struct str *s, int64_t *us)
{
	int h, m, sign;

	*us = 0;
	if (lit(s, "Zz"))
		return true;
	if (s->n == 0 || (s->p[0] != '+' && s->p[0] != '-'))
		return false;
	sign = s->p[0] == '-' ? -1 : 1;
	*s = str_skip(*s, 1);
	if (!digits(s, 2, &h) || !lit(s, ":") || !digits(s, 2, &m) || h > 23 || m > 59)
		return false;
	*us = sign * (h * 3600 + m * 60) * CLOCK_SEC;
	return true;
}

static int days_of(int year, int month)
{
	static const int days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
	bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;

	return days[month - 1] + (month == 2 && leap);
}

bool clock_parse_rfc3339(struct str s, int64_t *wall)
{
	struct tm tm = { 0 };
	int64_t frac = 0, unit = CLOCK_SEC, off;

	if (!digits(&s, 4, &tm.tm_year) || !lit(&s, "-") || !digits(&s, 2, &tm.tm_mon) ||
	    !lit(&s, "-") || !digits(&s, 2, &tm.tm_mday) || !lit(&s, "Tt ") ||
	    !digits(&s, 2, &tm.tm_hour) || !lit(&s, ":") || !digits(&s, 2, &tm.tm_min) ||
	    !lit(&s, ":") || !digits(&s, 2, &tm.tm_sec))
		return false;
	if (lit(&s, "."))
		for (int d; s.n > 0 && digits(&s, 1, &d);)
			frac += d * (unit /= 10);
	if (!offset(&s, &off) || s.n != 0 || tm.tm_mon < 1 || tm.tm_mon > 12 || tm.tm_mday < 1 ||
	    tm.tm_mday > days_of(tm.tm_year, tm.tm_mon) || tm.tm_hour > 23 || tm.tm_min > 59 || tm.tm_sec > 60)
		return false;
	tm.tm_year -= 1900;
	tm.tm_mon -= 1;
	*wall = (int64_t)timegm(&tm) * CLOCK_SEC + frac - off;
	return true;
}

static bool unit(struct str *s, int64_t *mult)
{
	static const struct {
		struct str name;
		int64_t us;
	} units[] = {
		{ { "ms", 2 }, CLOCK_MS },          { { "us", 2 }, 1 },
		{ { "s", 1 }, CLOCK_SEC },          { { "m", 1 }, 60 * CLOCK_SEC },
		{ { "h", 1 }, 3600 * CLOCK_SEC },   { { "d", 1 }, 86400 * CLOCK_SEC },
	};

	for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
		if (!str_starts(*s, units[i].name))
			continue;
		*s = str_skip(*s, units[i].name.n);
		*mult = units[i].us;
		return true;
	}
	return false;
}

bool clock_parse_duration(struct str s, int64_t *us)
{
	int64_t total = 0;
	uint64_t v;

	if (str_u64(s, 1000000000, &v)) {
		*us = (int64_t)v * CLOCK_SEC;
		return true;
	}
	if (s.n == 0)
		return false;
	while (s.n > 0) {
		size_t k = 0;
		int64_t mult;

		while (k < s.n && s.p[k] >= '0' && s.p[k] <= '9')
			k++;
		if (k > 9 || !str_u64(str_n(s.p, k), 1000000000, &v))
			return false;
		s = str_skip(s, k);
		if (!unit(&s, &mult) || (int64_t)v > (INT64_MAX / 4) / mult)
			return false;
		total += (int64_t)v * mult;
	}
	*us = total;
	return true;
}
