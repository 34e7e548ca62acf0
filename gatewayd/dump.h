/* gatewayd --dump: the tables of the program as text, tab-separated under a line of column names, for
 * people, manuals and tests. */
#ifndef GATEWAYD_DUMP_H
#define GATEWAYD_DUMP_H

#include <stdio.h>

#include "base/err.h"

/* E_USAGE when there is no such table. */
enum err dump(const char *what, FILE *out, struct fail *f);

#endif
