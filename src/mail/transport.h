/* How mail leaves: mail.url, either a spool directory or an SMTP server (RFC 5321) by libcurl.
 *
 * smtp:// demands STARTTLS (RFC 3207) and a certificate that verifies: a server that does not offer it,
 * or somebody in between who hides that it does, gets no mail and no password. The one exception is a
 * host written as localhost, 127.x.x.x or [::1]: nothing is encrypted there. smtps:// is TLS from the
 * first byte. The path of the URL, when there is one, is the name said in EHLO.
 *
 * Blocking; one thread at a time, but mail_transport_stop may be called by any. */
#ifndef MAIL_TRANSPORT_H
#define MAIL_TRANSPORT_H

#include <stdint.h>

#include "base/err.h"
#include "base/id.h"
#include "base/str.h"

struct mail_transport;

struct mail_transport_config {
	const char *url;      /* spool:DIRECTORY, smtp://HOST[:PORT][/NAME], smtps://... */
	const char *user;     /* NULL: no authentication */
	struct str password;
	const char *ca;       /* PEM file; NULL: the system's authorities */
	int64_t timeout_us;   /* of one mail; 0: 60 s */
};

/* Checks and keeps (copies) the configuration; nothing is connected or made yet. E_CONFIG: a URL that
 * is none or holds user or password (they belong in keys of their own, where they are known to be
 * secret). */
enum err mail_transport_open(const struct mail_transport_config *c, struct mail_transport **out,
    struct fail *f);
void mail_transport_free(struct mail_transport *t);

enum mail_outcome {
	MAIL_SENT,        /* the server, or the disk, has it */
	MAIL_DEFERRED,    /* not this mail, not now (4yz to the recipient or the text) */
	MAIL_REFUSED,     /* not this mail, never (5yz) */
	MAIL_UNREACHABLE, /* no mail at all, for now: no connection, no TLS, no sign-in, no sender */
};
struct mail_envelope {
	struct id id;
	struct str sender, recipient; /* as mailbox_address made them */
	struct str message;           /* with CRLF */
};
/* why: the reason of every outcome but MAIL_SENT, for log and operator. It quotes the server only as
 * long as the server has not seen the text, so that no token comes back in it. */
enum mail_outcome mail_transport_send(struct mail_transport *t, const struct mail_envelope *m,
    struct fail *why);
/* What is under way may take three more seconds. There is no way back. */
void mail_transport_stop(struct mail_transport *t);

#endif
