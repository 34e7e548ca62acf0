/* How far an import of a file has come, kept beside the file of rejected lines so that the next run goes
 * on there, whatever ended this one. Written whole and put in place by a rename after each batch that
 * the gateway has acknowledged, and once before the first. One thread. */
#ifndef GWCTL_IMPORT_STATE_H
#define GWCTL_IMPORT_STATE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

#include "base/err.h"
#include "base/id.h"

struct import_state {
	char import[ID_TEXT_LEN];    /* names this import: batches are repeated under the same key */
	int64_t size, mtime, inode;  /* of the file: another one is begun anew */
	int64_t offset, line;        /* what is done */
	int64_t created, unchanged, rejected;
	int64_t reject_size;         /* of the file of rejected lines then */
};

/* A fresh one for the file. */
void import_state_new(struct import_state *s, const struct stat *file);
/* What an earlier run left at `path` about this very file; *found. E_LOCAL: it cannot be read. */
enum err import_state_load(const char *path, const struct stat *file, struct import_state *s,
    bool *found, struct fail *f);
/* E_LOCAL. */
enum err import_state_save(const char *path, const struct import_state *s, struct fail *f);

#endif
