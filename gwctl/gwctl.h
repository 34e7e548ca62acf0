/* One run of gwctl: what was asked for, and where answers go. One thread. */
#ifndef GWCTL_GWCTL_H
#define GWCTL_GWCTL_H

#include <stdbool.h>

#include "base/err.h"
#include "args.h"
#include "print.h"

struct json_t;
struct client;

struct gwctl {
	struct args args;
	struct print print;
	struct client *client; /* made by gwctl_client; NULL before */
	char request_id[129];  /* of the answer that was an error; may be empty */
};

/* The value of an option or operand; NULL: not given. */
static inline const char *gwctl_arg(const struct gwctl *g, const char *name)
{
	return args_get(&g->args, name);
}
/* Connects to nothing yet: finds the context and its servers. E_USAGE when there is neither. */
enum err gwctl_client(struct gwctl *g, struct fail *f);
/* For what destroys: asks on a terminal, wants --yes elsewhere. */
enum err gwctl_confirm(const struct gwctl *g, const char *question, struct fail *f);
/* A whole file or, for "-", stdin, as text with a NUL behind it; heap. */
enum err gwctl_read_file(const char *path, char **text, size_t *n, struct fail *f);

/* What commands.c names. */
enum err rest_run(struct gwctl *g, struct fail *f);
enum err login_run(struct gwctl *g, struct fail *f);
enum err logout_run(struct gwctl *g, struct fail *f);
enum err context_list_run(struct gwctl *g, struct fail *f);
enum err context_use_run(struct gwctl *g, struct fail *f);
enum err context_show_run(struct gwctl *g, struct fail *f);
enum err context_delete_run(struct gwctl *g, struct fail *f);
enum err user_import_run(struct gwctl *g, struct fail *f);
enum err routing_put_run(struct gwctl *g, struct fail *f);
enum err routing_set_run(struct gwctl *g, struct fail *f);
enum err routing_diff_run(struct gwctl *g, struct fail *f);
/* A routing document, or a revision around one, as a line a placement. */
enum err routing_show(struct gwctl *g, const struct json_t *answer);
enum err db_migrate_run(struct gwctl *g, struct fail *f);
enum err db_status_run(struct gwctl *g, struct fail *f);
enum err db_check_run(struct gwctl *g, struct fail *f);
enum err admin_init_run(struct gwctl *g, struct fail *f);
enum err version_run(struct gwctl *g, struct fail *f);
enum err completion_run(struct gwctl *g, struct fail *f);

/* Prints the candidates for the word that is being typed, one a line; for the scripts of
 * `gwctl completion`. argv: the words before it and, last, the word itself. */
void completion_candidates(int argc, char **argv);

#endif
