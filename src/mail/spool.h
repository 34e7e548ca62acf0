/* Mail as files, for development and for gateways whose mail another program takes away: one file a
 * mail, DIRECTORY/<id>.eml, in the lines of this system (LF, as in a Maildir). Readers see whole files
 * only. Blocking; any thread, but one at a time for the same id. */
#ifndef MAIL_SPOOL_H
#define MAIL_SPOOL_H

#include "base/err.h"
#include "base/id.h"
#include "base/str.h"

/* Writes the message (CRLF lines) durably: a hidden file of mode 0600, synced, renamed, the directory
 * synced. The directory is made (0700) when it does not exist; its parent must. Written twice, it is
 * there once. E_UPSTREAM_FAILED with the reason. */
enum err spool_write(const char *dir, struct id id, struct str message, struct fail *f);

#endif
