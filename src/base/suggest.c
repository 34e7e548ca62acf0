#include "base/suggest.h"

#define MAX_WORD 64

static unsigned min3(unsigned a, unsigned b, unsigned c)
{
	unsigned m = a < b ? a : b;

	return m < c ? m : c;
}

/* Optimal string alignment distance; both words are at most MAX_WORD long. */
static unsigned distance(struct str a, struct str b)
{
	unsigned d[MAX_WORD + 1][MAX_WORD + 1];

	for (size_t i = 0; i <= a.n; i++)
		d[i][0] = (unsigned)i;
	for (size_t j = 0; j <= b.n; j++)
		d[0][j] = (unsigned)j;
	for (size_t i = 1; i <= a.n; i++) {
		for (size_t j = 1; j <= b.n; j++) {
			unsigned cost = a.p[i - 1] != b.p[j - 1];

			d[i][j] = min3(d[i - 1][j] + 1, d[i][j - 1] + 1, d[i - 1][j - 1] + cost);
			if (i > 1 && j > 1 && a.p[i - 1] == b.p[j - 2] && a.p[i - 2] == b.p[j - 1] &&
			    d[i - 2][j - 2] + 1 < d[i][j])
				d[i][j] = d[i - 2][j - 2] + 1;
		}
	}
	return d[a.n][b.n];
}

void suggest_offer(struct suggest *s, const char *candidate)
{
	struct str c = str_c(candidate);
	unsigned d;

	if (s->word.n == 0 || s->word.n > MAX_WORD || c.n > MAX_WORD)
		return;
	d = distance(s->word, c);
	if (d < s->distance) {
		s->distance = d;
		s->best = candidate;
	}
}

const char *suggest_get(const struct suggest *s)
{
	size_t allowed = s->word.n < 3 ? 0 : s->word.n < 4 ? 1 : s->word.n < 8 ? 2 : 3;

	return s->best != NULL && s->distance <= allowed ? s->best : NULL;
}
