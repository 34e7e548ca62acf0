#include "api/letters.h"

#include "api/ctl.h"
#include "base/config.h"
#include "mail/letter.h"
#include "mail/sender.h"

enum err letters_add(struct ctl *c, struct write *w, const struct letter *l, struct fail *f)
{
	const struct config *config = c->config;
	struct letterhead h = { .templates = c->templates, .seal = c->seal,
		.from = str_c(config->mail_from), .link_base = str_c(config->mail_link_base) };

	return letter_add(w, &h, l, f);
}

void letters_poke(struct ctl *c)
{
	mail_sender_poke(c->mail);
}
