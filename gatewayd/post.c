#include "post.h"

#include "api/ctl.h"
#include "base/config.h"
#include "mail/message.h"
#include "mail/sender.h"
#include "mail/template.h"
#include "mail/transport.h"

enum err post_check(const struct config *config, struct fail *f)
{
	struct mailbox from;

	if (mailbox_parse(str_c(config->mail_from), &from))
		return OK;
	return fail_set(f, E_CONFIG, "mail.from: '%s' is neither ADDRESS nor NAME <ADDRESS>",
	    config->mail_from != NULL ? config->mail_from : "");
}

enum err post_open(struct post *p, const struct config *config, struct fail *f)
{
	struct mail_transport_config t = {
		.url = config->mail_url,
		.user = config->mail_user,
		.password = { (const char *)config->mail_password.p, config->mail_password.n },
		.ca = config->mail_ca,
	};
	enum err e = post_check(config, f);

	if (e == OK)
		e = mail_templates_load(config->mail_templates, &p->templates, f);
	if (e == OK)
		e = mail_transport_open(&t, &p->transport, f);
	return e;
}

enum err post_start(struct post *p, struct ctl *ctl, struct fail *f)
{
	struct mail_sender_config c = { .store = ctl->store, .seal = ctl->seal,
		.replica = ctl->replica };
	struct mail_transport *t = p->transport;
	enum err e;

	p->transport = NULL;
	e = mail_sender_start(&c, t, &p->sender, f);
	ctl->mail = p->sender;
	return e;
}

void post_close(struct post *p)
{
	mail_sender_stop(p->sender);
	mail_transport_free(p->transport);
	mail_templates_free(p->templates);
	*p = (struct post){ 0 };
}
