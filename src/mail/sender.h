/* The thread that sends queued mail: it claims what is due, hands it to the transport, and settles the
 * claim by the outcome. It wakes when poked (mail was queued here), when something is due, and at
 * every poll (mail of other replicas, and of those that died). When the server can't be reached at all
 * the queue rests for mail_policy.retry_min, however much is due.
 *
 * Every replica runs one; the queue keeps them apart (mail/queue.h: at least once). Poke, stop and
 * metrics: any thread. */
#ifndef MAIL_SENDER_H
#define MAIL_SENDER_H

#include "base/err.h"
#include "base/id.h"

struct buf;
struct mail_policy;
struct mail_sender;
struct mail_transport;
struct seal;
struct store;

struct mail_sender_config {
	struct store *store;
	const struct seal *seal;
	struct id replica;                /* new at every start of the process */
	const struct mail_policy *policy; /* NULL: mail_policy_default; constant memory */
};

/* Takes the transport, also when it fails (E_NOMEM). */
enum err mail_sender_start(const struct mail_sender_config *c, struct mail_transport *transport,
    struct mail_sender **out, struct fail *f);
/* Mail under way may take three more seconds; what is left stays in the queue. NULL allowed. */
void mail_sender_stop(struct mail_sender *s);
/* Mail has been committed to the queue. NULL allowed. */
void mail_sender_poke(struct mail_sender *s);
/* Prometheus families gateway_mail_*; the queue as of the last look at it. */
void mail_sender_write_metrics(struct mail_sender *s, struct buf *out);

#endif
