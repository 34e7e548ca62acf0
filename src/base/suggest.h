/* "Did you mean …?": the candidate nearest to a mistyped word, by edits (insert, delete, replace,
 * swap neighbours). Plain values; any thread. */
#ifndef BASE_SUGGEST_H
#define BASE_SUGGEST_H

#include "base/str.h"

struct suggest {
	struct str word;
	const char *best; /* not owned: the candidate offered */
	unsigned distance;
};

static inline struct suggest suggest_for(struct str word)
{
	return (struct suggest){ .word = word, .distance = ~0u };
}
void suggest_offer(struct suggest *s, const char *candidate);
/* The nearest candidate when it is near enough to be meant, else NULL. */
const char *suggest_get(const struct suggest *s);

#endif
