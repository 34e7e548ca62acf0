#include "args.h"

#include <getopt.h>
#include <string.h>

const char args_usage[] =
    "usage: gatewayd [-c FILE] [-o key=value]... [--check] [--dump WHAT] [--version] [--help]\n"
    "  -c FILE         configuration (gateway.yaml(5)); default: none\n"
    "  -o key=value    sets a key; repeatable, later wins\n"
    "  --check         checks configuration, store, migrations and routing, and exits\n"
    "  --dump WHAT     prints a table: api, config, errors, metrics, rights\n"
    "  --version       prints the version\n";

enum { OPT_CHECK = 256, OPT_DUMP, OPT_VERSION };

static const struct option long_options[] = {
	{ "check", no_argument, NULL, OPT_CHECK },
	{ "config", required_argument, NULL, 'c' },
	{ "dump", required_argument, NULL, OPT_DUMP },
	{ "help", no_argument, NULL, 'h' },
	{ "version", no_argument, NULL, OPT_VERSION },
	{ NULL, 0, NULL, 0 },
};

static enum err take(int opt, struct args *a, struct fail *f)
{
	switch (opt) {
	case 'c':
		a->file = optarg;
		return OK;
	case 'o':
		if (a->noverrides == ARGS_OVERRIDES)
			return fail_set(f, E_USAGE, "-o is given more than %d times", ARGS_OVERRIDES);
		a->overrides[a->noverrides++] = optarg;
		return OK;
	case OPT_CHECK:
		a->check = true;
		return OK;
	case OPT_DUMP:
		a->dump = optarg;
		return OK;
	case OPT_VERSION:
		a->version = true;
		return OK;
	case 'h':
		a->help = true;
		return OK;
	default:
		return fail_set(f, E_USAGE, "the options are not understood");
	}
}

enum err args_parse(int argc, char **argv, struct args *a, struct fail *f)
{
	int opt;

	memset(a, 0, sizeof *a);
	while ((opt = getopt_long(argc, argv, "c:o:h", long_options, NULL)) != -1) {
		enum err e = take(opt, a, f);

		if (e != OK)
			return e;
	}
	if (optind < argc)
		return fail_set(f, E_USAGE, "\"%s\" is not an option", argv[optind]);
	return OK;
}
