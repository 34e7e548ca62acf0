/* The table of nouns and verbs (commands.c), and what a row is made of. Parsing, help, completion,
 * the manual's test and the generic REST call (rest.c) are all derived from it. Constant data. */
#ifndef GWCTL_COMMAND_H
#define GWCTL_COMMAND_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

struct gwctl;
struct json_t;

enum arg_type {
	ARG_FLAG,
	ARG_TEXT,
	ARG_INT,
	ARG_BOOL,      /* true or false */
	ARG_USER,      /* id, or e-mail that is looked up */
	ARG_PRINCIPAL, /* id, or e-mail of a user that is looked up */
	ARG_GRANT,     /* RIGHT or RIGHT:RESOURCE */
	ARG_SECRET,    /* name of a file with a secret, - for stdin */
};

/* Where rest.c puts the value. */
enum arg_to { TO_COMMAND, TO_PATH, TO_QUERY, TO_BODY };

struct arg {
	const char *name;  /* "--email", or "ID" for an operand */
	char letter;       /* 'f' for -f; 0: none */
	enum arg_type type;
	const char *value; /* what help calls the value of an option; NULL for flags and operands */
	enum arg_to to;
	const char *field; /* in query or body */
	bool required, many;
	bool ask;          /* a secret that is asked for when it is not given */
	const char *words; /* "json|yaml": the only values; NULL: any */
	const char *help;
};

enum {
	CMD_CHANGES = 1,  /* takes --dry-run */
	CMD_DESTROYS = 2, /* and --yes */
	CMD_LIST = 4,     /* pages; takes --limit */
	CMD_OFFLINE = 8,  /* works on the store or on nothing: takes no server */
	CMD_IF_MATCH = 16, /* takes --if-match */
	CMD_PATCHES = 32 /* its body is a merge patch (RFC 7396) of what is there, whatever that is */
};

struct command {
	const char *noun, *verb; /* verb NULL: the noun stands alone */
	const char *help;
	const struct arg *args; /* ended by an entry without a name */
	unsigned flags;
	const char *method, *path; /* "/admin/users/{ID}": of rest_run */
	const char *body;          /* JSON that the arguments are put onto */
	const char *columns;       /* of a table: "id,email"; the first one is the name */
	enum err (*run)(struct gwctl *g, struct fail *f);
	/* How rest_run prints an answer for people and pipes, where columns are not enough. */
	enum err (*show)(struct gwctl *g, const struct json_t *answer);
};

struct noun {
	const char *name, *help;
};

extern const struct noun nouns[];       /* ended by an entry without a name */
extern const struct command commands[]; /* rows of a noun stand together; ended likewise */
extern const struct arg global_args[];  /* of every command */
/* Those that a command takes by its flags, or NULL. */
extern const struct arg arg_yes, arg_dry_run, arg_limit, arg_if_match;

static inline bool arg_is_option(const struct arg *a)
{
	return a->name[0] == '-';
}
/* All options and operands of a command, its own first: the i-th, or NULL. cmd may be NULL: only the
 * global ones. */
const struct arg *command_arg(const struct command *cmd, size_t i);
const struct noun *noun_find(const char *name);
const struct command *command_find(const char *noun, const char *verb);

#endif
