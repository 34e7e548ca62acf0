/* The command line of gatewayd (CONTRACT 1). Main thread, before anything else. */
#ifndef GATEWAYD_ARGS_H
#define GATEWAYD_ARGS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

#define ARGS_OVERRIDES 256

struct args {
	const char *file;    /* -c; NULL: none */
	char *overrides[ARGS_OVERRIDES]; /* -o key=value, in order */
	size_t noverrides;
	bool check, version, help;
	const char *dump;    /* api, config, errors, metrics, rights; NULL: none */
};

/* E_USAGE with what is wrong. */
enum err args_parse(int argc, char **argv, struct args *a, struct fail *f);
extern const char args_usage[];

#endif
