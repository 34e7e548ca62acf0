/* What a sign-in and a refresh answer: the token set of CONTRACT 3, and how long things live by the
 * configuration. Control lane. */
#ifndef API_TOKEN_SET_H
#define API_TOKEN_SET_H

#include <stdint.h>

#include "base/err.h"
#include "iam/session.h"

struct buf;
struct config;
struct ctl;
struct request;

struct session_limits session_limits_of(const struct config *c);

/* Appends an access token that names s->id as its session: of a sign-in, or the credential that a service
 * account gave for it. It never outlives s->idle_expires_at; *expires_in is what clients are told (RFC 6749,
 * 5.1), in seconds. E_NOT_READY when no key signs. */
enum err token_issue(struct ctl *c, const struct session *s, int64_t now, int64_t *expires_in,
    struct buf *out, struct fail *f);
/* Issues an access token for the session and writes the whole set as the reply. s->email must be set.
 * The access token never outlives the session. E_NOT_READY when no key signs. */
enum err token_set_reply(struct ctl *c, struct request *r, const struct session *s,
    const char refresh[REFRESH_TOKEN_LEN], int64_t now, struct fail *f);

#endif
