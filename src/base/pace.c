#include "base/pace.h"

#include "base/clock.h"

#define SKEW (60 * CLOCK_SEC) /* between the clocks of replicas */

int64_t pace_left(const struct pace *p, int64_t n, int64_t age)
{
	int64_t gone = age > 0 ? age / p->leak : 0;

	return n > gone ? n - gone : 0;
}

/* The delay behind the n-th event. */
static int64_t delay(const struct pace *p, int64_t n)
{
	int64_t d = p->first;

	if (p->free == 0 || n < p->free)
		return 0;
	for (int64_t i = p->free; i < n && d < p->most; i++)
		d *= p->factor;
	return d < p->most ? d : p->most;
}

int64_t pace_wait(const struct pace *p, int64_t n, int64_t age)
{
	int64_t d = delay(p, n);

	return age >= -SKEW && age < d ? d - age : 0;
}
