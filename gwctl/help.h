/* Usage, help and the dump of the table, all derived from it. */
#ifndef GWCTL_HELP_H
#define GWCTL_HELP_H

#include <stdio.h>

#include "args.h"

/* For the command, the noun, or all of gwctl, whichever was given. */
void help_print(FILE *out, const struct args *a);
/* "gwctl user create --email E [--password-file FILE]" without "gwctl ". */
void help_synopsis(const struct command *c, char *out, size_t cap);
/* One line a command (synopsis, tab, help) and one line an option of it, indented by a tab. */
void help_dump(FILE *out);
/* The options of every command. */
void help_dump_options(FILE *out);

#endif
