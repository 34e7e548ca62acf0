#include "front/http2_noise.h"

#include "base/clock.h"

#define MAX 1000 /* a minute */
#define CREDIT_EACH 10
#define CREDIT_MAX 100000

bool http2_noise(struct http2_noise *x, int64_t now)
{
	if (now - x->since > 60 * CLOCK_SEC) {
		x->since = now;
		x->n = 0;
	}
	return ++x->n <= MAX;
}

bool http2_noise_companion(struct http2_noise *x, int64_t now)
{
	if (x->credit == 0)
		return http2_noise(x, now);
	x->credit--;
	return true;
}

void http2_noise_credit(struct http2_noise *x)
{
	if (x->credit < CREDIT_MAX)
		x->credit += CREDIT_EACH;
}
