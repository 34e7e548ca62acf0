/* The command line, taken apart by the table: which command, which values. Keeps pointers into argv.
 * Not thread-safe. */
#ifndef GWCTL_ARGS_H
#define GWCTL_ARGS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "command.h"

#define ARGS_MAX 128

struct args {
	const struct noun *noun;   /* NULL: none was given */
	const struct command *cmd; /* NULL: help was asked for, or no verb was given */
	bool help;
	struct {
		const struct arg *arg;
		const char *value; /* "" for flags */
	} v[ARGS_MAX];
	size_t n;
};

/* E_USAGE says what is wrong and what was probably meant. */
enum err args_parse(struct args *a, int argc, char **argv, struct fail *f);
/* The value of an option or operand by its name; the last one given; NULL: not given. */
const char *args_get(const struct args *a, const char *name);
static inline bool args_has(const struct args *a, const char *name)
{
	return args_get(a, name) != NULL;
}

#endif
