#include "mail/transport.h"

#include <string.h>

#include "base/heap.h"
#include "mail/smtp.h"
#include "mail/spool.h"

#define SPOOL "spool:"

/* One of the two. */
struct mail_transport {
	char *spool; /* directory */
	struct smtp *smtp;
};

static enum err open_spool(struct mail_transport *t, const char *dir, struct fail *f)
{
	if (dir[0] == '\0')
		return fail_set(f, E_CONFIG, "mail.url: spool: needs a directory");
	t->spool = heap_strdup(dir);
	return t->spool != NULL ? OK : fail_set(f, E_NOMEM, "no memory for the mail transport");
}

enum err mail_transport_open(const struct mail_transport_config *c, struct mail_transport **out,
    struct fail *f)
{
	struct mail_transport *t = heap_zalloc(sizeof *t);
	enum err e;

	if (t == NULL)
		return fail_set(f, E_NOMEM, "no memory for the mail transport");
	if (str_starts(str_c(c->url), STR(SPOOL)))
		e = open_spool(t, c->url + strlen(SPOOL), f);
	else
		e = smtp_new(c, &t->smtp, f);
	if (e != OK) {
		mail_transport_free(t);
		return e;
	}
	*out = t;
	return OK;
}

void mail_transport_free(struct mail_transport *t)
{
	if (t == NULL)
		return;
	heap_free(t->spool);
	smtp_free(t->smtp);
	heap_free(t);
}

enum mail_outcome mail_transport_send(struct mail_transport *t, const struct mail_envelope *m,
    struct fail *why)
{
	if (t->smtp != NULL)
		return smtp_send(t->smtp, m, why);
	return spool_write(t->spool, m->id, m->message, why) == OK ? MAIL_SENT : MAIL_UNREACHABLE;
}

void mail_transport_stop(struct mail_transport *t)
{
	if (t->smtp != NULL)
		smtp_stop(t->smtp);
}
