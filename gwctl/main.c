/* gwctl: take the command line apart, run the one command that it names, say how it went. */
#include "gwctl.h"

#include <errno.h>
#include <jansson.h>
#include <locale.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/secret.h"
#include "base/standard_fds.h"
#include "client/client.h"
#include "help.h"

/* What is asked for instead of a command: help, the table, the version; false when nothing is. */
static bool special(const struct gwctl *g)
{
	if (args_has(&g->args, "--version")) {
		puts("gwctl " GW_VERSION);
		return true;
	}
	if (g->args.help) {
		help_print(stdout, &g->args);
		return true;
	}
	return false;
}

static enum err run(struct gwctl *g, struct fail *f)
{
	if (special(g))
		return OK;
	if (g->args.cmd == NULL) {
		help_print(stderr, &g->args);
		return fail_set(f, E_USAGE, g->args.noun != NULL ? "a verb is missing" :
		    "a command is missing");
	}
	g->print.columns = g->args.cmd->columns;
	return g->args.cmd->run(g, f);
}

static int finish(struct gwctl *g, enum err e, struct fail *f)
{
	if (e == OK && (fflush(stdout) != 0 || ferror(stdout)))
		e = fail_set(f, E_LOCAL, "writing to stdout: %s", strerror(errno));
	if (e != OK) {
		f->err = e;
		print_fail(stderr, g->print.format, f, g->request_id[0] != '\0' ? g->request_id : NULL);
	}
	client_free(g->client);
	fail_clear(f);
	return err_info(e)->exit;
}

/* What is for programs and not for people: tables for the manual, candidates for shells. */
static bool hidden(int argc, char **argv)
{
	if (argc == 3 && strcmp(argv[1], "--dump") == 0 && strcmp(argv[2], "commands") == 0)
		help_dump(stdout);
	else if (argc == 3 && strcmp(argv[1], "--dump") == 0 && strcmp(argv[2], "options") == 0)
		help_dump_options(stdout);
	else if (argc > 2 && strcmp(argv[1], "--complete") == 0)
		completion_candidates(argc - 2, argv + 2);
	else
		return false;
	return true;
}

/* JSON carries passwords and tokens: nothing of it stays in freed memory. */
static void wipe_and_free(void *p)
{
	if (p != NULL)
		secret_wipe(p, malloc_usable_size(p));
	free(p);
}

int main(int argc, char **argv)
{
	struct gwctl g = { .print = { .out = stdout } };
	struct fail f = { 0 };
	enum err e;

	standard_fds_keep();
	setlocale(LC_CTYPE, "");
	json_set_alloc_funcs(malloc, wipe_and_free);
	if (hidden(argc, argv))
		return 0;
	e = args_parse(&g.args, argc, argv, &f);
	g.print.format = print_format(gwctl_arg(&g, "-o"), isatty(STDOUT_FILENO));
	if (e == OK)
		e = run(&g, &f);
	return finish(&g, e, &f);
}
