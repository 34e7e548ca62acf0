/* Data to stdout in the format that was asked for: table (for people), tab-separated lines (in a
 * pipe), JSON, JSON lines, YAML, or names alone. Text of others is made harmless for the terminal.
 * One thread. */
#ifndef GWCTL_PRINT_H
#define GWCTL_PRINT_H

#include <stdbool.h>
#include <stdio.h>

#include "base/err.h"

struct json_t;

enum format { FORMAT_TABLE, FORMAT_TSV, FORMAT_JSON, FORMAT_JSONL, FORMAT_YAML, FORMAT_NAME };

/* A table when `tty`, else tab-separated, unless `name` (-o) says otherwise; NULL: not given. */
enum format print_format(const char *name, bool tty);

struct print {
	FILE *out;
	enum format format;
	const char *columns; /* "id,email,rights[].right"; the first is the name */
};

/* One object. As a table: a line a member. */
enum err print_object(const struct print *p, const struct json_t *o);
/* Rows as {"items":[...],"next_page_token":...}; as a table: a line a row. */
enum err print_list(const struct print *p, const struct json_t *rows, const char *next_page_token);
/* An error on stderr: the envelope when the format is JSON, else a line. */
void print_fail(FILE *err, enum format format, const struct fail *f, const char *request_id);

#endif
