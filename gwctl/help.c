#include "help.h"

#include <string.h>

#define OPTION_WIDTH 26

static void option_name(const struct arg *a, char *out, size_t cap)
{
	if (a->letter != 0 && strlen(a->name) == 2)
		snprintf(out, cap, "%s%s%s", a->name, a->value != NULL ? " " : "",
		    a->value != NULL ? a->value : "");
	else if (a->letter != 0)
		snprintf(out, cap, "-%c, %s%s%s", a->letter, a->name, a->value != NULL ? " " : "",
		    a->value != NULL ? a->value : "");
	else
		snprintf(out, cap, "%s%s%s", a->name, a->value != NULL ? " " : "",
		    a->value != NULL ? a->value : "");
}

void help_synopsis(const struct command *c, char *out, size_t cap)
{
	size_t n = (size_t)snprintf(out, cap, "%s%s%s", c->noun, c->verb != NULL ? " " : "",
	    c->verb != NULL ? c->verb : "");

	for (const struct arg *a = c->args; a != NULL && a->name != NULL && n < cap; a++)
		n += (size_t)snprintf(out + n, cap - n, " %s%s%s%s%s%s", a->required ? "" : "[", a->name,
		    a->value != NULL ? " " : "", a->value != NULL ? a->value : "",
		    a->required ? "" : "]", a->many ? "..." : "");
}

static void print_option(FILE *out, const struct arg *a)
{
	char name[80];

	option_name(a, name, sizeof name);
	fprintf(out, "  %-*s%s%s", OPTION_WIDTH, name, strlen(name) >= OPTION_WIDTH ? " " : "", a->help);
	if (a->words != NULL)
		fprintf(out, " (%s)", a->words);
	fputc('\n', out);
}

static void print_options(FILE *out, const struct command *c)
{
	const struct arg *a;

	fputs("\noptions:\n", out);
	for (size_t i = 0; (a = command_arg(c, i)) != NULL; i++)
		print_option(out, a);
}

static void print_command(FILE *out, const struct command *c)
{
	char line[512];

	help_synopsis(c, line, sizeof line);
	fprintf(out, "usage: gwctl %s\n\n%s\n", line, c->help);
	print_options(out, c);
}

static void print_noun(FILE *out, const struct noun *n)
{
	fprintf(out, "usage: gwctl %s VERB [ARGUMENT...]\n\n%s\n\nverbs:\n", n->name, n->help);
	for (const struct command *c = commands; c->noun != NULL; c++)
		if (strcmp(c->noun, n->name) == 0)
			fprintf(out, "  %-*s%s\n", OPTION_WIDTH, c->verb, c->help);
	fprintf(out, "\n'gwctl %s VERB --help' tells more.\n", n->name);
}

static void print_all(FILE *out)
{
	fputs("usage: gwctl [--context NAME] [--server URL[,URL...]] [-o FORMAT] COMMAND [VERB] "
	      "[ARGUMENT...]\n\nThe operator's hand on gatewayd.\n\ncommands:\n", out);
	for (const struct noun *n = nouns; n->name != NULL; n++)
		fprintf(out, "  %-*s%s\n", OPTION_WIDTH, n->name, n->help);
	print_options(out, NULL);
	fputs("\n'gwctl COMMAND --help' tells more. Exit status: 0 done, 1 failed, 2 usage, 3 not signed "
	      "in or\nforbidden, 4 not found, 5 conflict or stale, 6 unavailable and worth retrying.\n", out);
}

void help_print(FILE *out, const struct args *a)
{
	if (a->cmd != NULL)
		print_command(out, a->cmd);
	else if (a->noun != NULL)
		print_noun(out, a->noun);
	else
		print_all(out);
}

void help_dump_options(FILE *out)
{
	char text[80];

	for (const struct arg *a = global_args; a->name != NULL; a++) {
		option_name(a, text, sizeof text);
		fprintf(out, "%s\t%s\n", text, a->help);
	}
}

void help_dump(FILE *out)
{
	char text[512];

	for (const struct command *c = commands; c->noun != NULL; c++) {
		help_synopsis(c, text, sizeof text);
		fprintf(out, "%s\t%s\n", text, c->help);
		for (const struct arg *a = c->args; a != NULL && a->name != NULL; a++) {
			option_name(a, text, sizeof text);
			fprintf(out, "\t%s\t%s\n", text, a->help);
		}
	}
}
