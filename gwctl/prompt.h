/* Questions to the person at the terminal, and secrets from files. One thread. */
#ifndef GWCTL_PROMPT_H
#define GWCTL_PROMPT_H

#include <stdbool.h>

#include "base/err.h"
#include "base/secret.h"

/* Whether there is somebody to ask: stdin and stderr are a terminal. */
bool prompt_possible(void);
/* A line without echo from /dev/tty. E_LOCAL when there is no terminal or it was cancelled. */
enum err prompt_secret(const char *question, struct secret *out, struct fail *f);
/* Twice, and the same both times: for new secrets. */
enum err prompt_new_secret(const char *question, struct secret *out, struct fail *f);
/* A visible line; heap text. */
enum err prompt_line(const char *question, char **out, struct fail *f);
/* The first line of a file; "-" is stdin. E_LOCAL. */
enum err prompt_secret_file(const char *path, struct secret *out, struct fail *f);
/* Asks for a yes; E_LOCAL for anything else. */
enum err prompt_confirm(const char *question, struct fail *f);

#endif
