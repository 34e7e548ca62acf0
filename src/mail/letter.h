/* One mail from the gateway to a user: rendered from its template and put into the queue, in the same
 * write as what it tells of. What is queued is the finished message: a change of templates, sender or
 * link base later does not touch it, and every attempt sends the same bytes.
 *
 * For handlers: letter_add between write_init and commit, mail_sender_poke after the commit. */
#ifndef MAIL_LETTER_H
#define MAIL_LETTER_H

#include <stdint.h>

#include "base/err.h"
#include "base/str.h"
#include "mail/template.h"

struct seal;
struct write;

/* What all letters have in common. */
struct letterhead {
	const struct mail_templates *templates;
	const struct seal *seal;
	struct str from;      /* mail.from: "Name <address>" or an address */
	struct str link_base; /* mail.link_base: links are <link_base>?token=... */
};

struct letter {
	enum mail_kind kind;
	struct str to;    /* address */
	struct str name;  /* of the user, as given; .p NULL: none */
	struct str token; /* kinds with a link; the token in plain (iam/one_time.h) */
	int64_t valid_us; /* kinds with a link: how long it works */
};

/* E_INVALID_FIELD: no mail can be sent to this address. E_CONFIG: mail.from is no address. E_LIMIT,
 * E_NOMEM. Nothing has been added then. Errors of the write itself show at the commit. */
enum err letter_add(struct write *w, const struct letterhead *h, const struct letter *l,
    struct fail *f);

#endif
