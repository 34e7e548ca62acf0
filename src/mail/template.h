/* What mail says: one template a kind of mail. Its first line is "Subject: ...", an empty line may
 * follow, the rest is the text. Each placeholder, {{link}} {{email}} {{name}} {{minutes}} {{hours}},
 * stands for a value of the mail at hand; which ones a kind knows is in one table (template.c).
 *
 * A template is the file KIND.txt of the directory mail.templates, or the one that is built in. All
 * are checked when they are loaded, so that a mistake shows at the start and not at a user's first
 * reset. {{name}} is what strangers typed: templates of mail that strangers can cause (verify,
 * email_taken) should do without it, and the built-in ones do.
 *
 * Immutable once loaded: any thread. */
#ifndef MAIL_TEMPLATE_H
#define MAIL_TEMPLATE_H

#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"

enum mail_kind {
	MAIL_VERIFY,           /* link to confirm an address */
	MAIL_RESET,            /* link to set a new password */
	MAIL_PASSWORD_CHANGED, /* notice */
	MAIL_EMAIL_TAKEN,      /* to who signs up with an address that has an account */
	MAIL_MFA_REMOVED,      /* notice */
	MAIL_IDENTITY_LINKED,  /* notice */
	MAIL_IDENTITY_UNLINKED, /* notice */
	MAIL__KINDS
};
/* "verify", "reset", ... as in file names, the store and metrics. */
const char *mail_kind_name(enum mail_kind k);

struct mail_templates;

/* dir: NULL for the built-in ones; a kind that has no file there has the built-in one. E_CONFIG names
 * file, line and fault: an unknown placeholder, one that the kind has no value for, {{link}} in the
 * subject (mail servers log subjects) or missing where the kind is about it, no subject, a .txt file
 * that is no kind. */
enum err mail_templates_load(const char *dir, struct mail_templates **out, struct fail *f);
void mail_templates_free(struct mail_templates *t);

struct mail_values {
	struct str link, email;
	struct str name;  /* as the user gave it; .p NULL: the e-mail address is shown */
	int64_t valid_us; /* how long the link works */
};
/* Appends; E_LIMIT, E_NOMEM. Control characters in values become blanks. */
enum err mail_template_render(const struct mail_templates *t, enum mail_kind k,
    const struct mail_values *v, struct buf *subject, struct buf *text);

#endif
