#include "mail/letter.h"

#include "iam/write.h"
#include "mail/message.h"
#include "mail/queue.h"

#define LINK_MAX 4096
#define SUBJECT_MAX 1024

/* All that a letter is made of; the link stands in each, so each is wiped. */
struct draft {
	struct buf link, subject, text, message, sender, recipient;
};

static void draft_init(struct draft *d)
{
	buf_init_secret(&d->link, LINK_MAX);
	buf_init_secret(&d->subject, SUBJECT_MAX);
	buf_init_secret(&d->text, MESSAGE_MAX);
	buf_init_secret(&d->message, MESSAGE_MAX);
	buf_init(&d->sender, LINK_MAX);
	buf_init(&d->recipient, LINK_MAX);
}

static void draft_release(struct draft *d)
{
	buf_release(&d->link);
	buf_release(&d->subject);
	buf_release(&d->text);
	buf_release(&d->message);
	buf_release(&d->sender);
	buf_release(&d->recipient);
}

static enum err make_link(struct str base, struct str token, struct buf *out)
{
	if (token.n == 0)
		return OK;
	buf_reserve(out, base.n + token.n + 8); /* at once: no copy is left behind by growing */
	buf_adds(out, base);
	buf_addz(out, base.n > 0 && memchr(base.p, '?', base.n) != NULL ? "&token=" : "?token=");
	buf_adds(out, token);
	return buf_err(out);
}

static enum err write_draft(struct draft *d, const struct letterhead *h, const struct letter *l,
    struct message *m, struct fail *f)
{
	struct mail_values v = { .email = l->to, .name = l->name, .valid_us = l->valid_us };
	enum err e = make_link(h->link_base, l->token, &d->link);

	if (e != OK)
		return fail_set(f, e, "mail.link_base is too long");
	v.link = buf_str(&d->link);
	buf_reserve(&d->text, MESSAGE_MAX);
	buf_reserve(&d->message, MESSAGE_MAX);
	e = mail_template_render(h->templates, l->kind, &v, &d->subject, &d->text);
	if (e != OK)
		return fail_set(f, e, "the mail of the kind %s is too long", mail_kind_name(l->kind));
	m->to.addr = l->to;
	m->subject = buf_str(&d->subject);
	m->text = buf_str(&d->text);
	return message_write(m, &d->message, f);
}

enum err letter_add(struct write *w, const struct letterhead *h, const struct letter *l,
    struct fail *f)
{
	struct message m = { .id = id_new(w->now), .date = w->now };
	struct draft d;
	struct mail row = { .id = m.id, .kind = str_c(mail_kind_name(l->kind)) };
	enum err e;

	if (!mailbox_parse(h->from, &m.from))
		return fail_set(f, E_CONFIG, "mail.from: '%.*s' is no mailbox", STR_ARG(h->from));
	draft_init(&d);
	e = write_draft(&d, h, l, &m, f);
	if (e == OK)
		e = mailbox_address(m.from.addr, &d.sender);
	if (e == OK)
		e = mailbox_address(l->to, &d.recipient);
	if (e == OK) {
		row.sender = buf_str(&d.sender);
		row.recipient = buf_str(&d.recipient);
		row.body = buf_str(&d.message);
		mail_add(w, h->seal, &row);
	}
	draft_release(&d);
	return e;
}
