#include "api/owner.h"

#include "api/ctl.h"
#include "iam/email.h"
#include "iam/throttle.h"
#include "mail/template.h"
#include "request/request.h"

static void tell(struct ctl *c, struct request *r, struct write *w, struct str email, bool new_password)
{
	struct throttle_who who;
	struct str fold;

	if (email_fold(email, &r->arena, &fold) != OK)
		return;
	who = throttle_who(r, fold);
	if (new_password) {
		throttle_estrange(c->throttle, w, &who);
		throttle_letter_used(c->throttle, w, mail_kind_name(MAIL_RESET), fold);
	}
	throttle_welcome(c->throttle, w, &who);
}

void owner_signs_in(struct ctl *c, struct request *r, struct write *w, struct str email)
{
	tell(c, r, w, email, false);
}

void owner_sets_password(struct ctl *c, struct request *r, struct write *w, struct str email)
{
	tell(c, r, w, email, true);
}

void owner_gets_password(struct ctl *c, struct request *r, struct write *w, struct str email)
{
	struct str fold;

	if (email_fold(email, &r->arena, &fold) == OK)
		throttle_pardon(c->throttle, w, fold);
}
