/* The mail room as this process runs it: templates, transport and sender as the configuration says.
 * Main thread only, but what it gives to `struct ctl` is for any control thread. */
#ifndef GATEWAYD_POST_H
#define GATEWAYD_POST_H

#include "base/err.h"

struct config;
struct ctl;
struct mail_sender;
struct mail_templates;
struct mail_transport;

struct post {
	struct mail_templates *templates;
	struct mail_transport *transport; /* until the sender takes it */
	struct mail_sender *sender;
};

/* Checks mail.from; also for a reload, before the new configuration is taken. */
enum err post_check(const struct config *config, struct fail *f);
/* Loads templates, checks everything; makes nothing, sends nothing. */
enum err post_open(struct post *p, const struct config *config, struct fail *f);
/* Starts to send; ctl->mail is there from then on. */
enum err post_start(struct post *p, struct ctl *ctl, struct fail *f);
/* Once no handler runs any more. Also after a failed open. */
void post_close(struct post *p);

#endif
