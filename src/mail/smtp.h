/* One SMTP server, reached by libcurl; its connection is kept for the next mail. What transport.h says
 * of TLS, threads and reasons holds here; transport.c is the only caller. */
#ifndef MAIL_SMTP_H
#define MAIL_SMTP_H

#include "mail/transport.h"

struct smtp;

enum err smtp_new(const struct mail_transport_config *c, struct smtp **out, struct fail *f);
void smtp_free(struct smtp *s);
enum mail_outcome smtp_send(struct smtp *s, const struct mail_envelope *m, struct fail *why);
void smtp_stop(struct smtp *s);

#endif
