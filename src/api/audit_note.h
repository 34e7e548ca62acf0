/* Audit records of requests: what a request says of itself, and when its record is written. A mutation
 * that commits has its record in its own batch (commit.h); whatever else ends a mutating request,
 * refusals above all, is posted when the request ends. So each leaves exactly one record. A request
 * of nobody leaves none: strangers must not be able to fill the log. */
#ifndef API_AUDIT_NOTE_H
#define API_AUDIT_NOTE_H

#include "base/err.h"
#include "base/jsonw.h"
#include "base/str.h"

struct audit;
struct audit_record;
struct id;
struct request;

/* Worker, once the caller is known: sees to it that the end of a mutating request is recorded.
 * E_RATE_LIMITED: the caller was refused so often that it is not heard now (iam/throttle.h). */
enum err audit_watch(struct request *r, struct fail *f);

/* A row as audit records show it: what `write` writes, without secrets. For r->audit_before. */
struct str audit_row(struct request *r, void (*write)(struct jsonw *w, const void *row),
    const void *row);

/* The record of r as it stands, with its reply as what came of it. Views into r's arena. */
void audit_describe(struct request *r, enum err outcome, struct audit_record *out);
/* A record of somebody who is known only now: sign-in, sign-up, a replayed refresh token. */
void audit_event(struct audit *a, struct request *r, const struct id *user, struct str email,
    enum err outcome);

#endif
