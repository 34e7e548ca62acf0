/* Making a connection to a node: resolve, connect to one address after another, shake hands when TLS is
 * wanted, within one time limit. Worker thread. */
#ifndef UPSTREAM_DIAL_H
#define UPSTREAM_DIAL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/str.h"
#include "crypto/wire.h"

struct dial;
struct loop;
struct resolver;
struct tls_buffers;
struct tls_client;

struct dial_to {
	struct str host; /* kept by the caller until the callback; ends in NUL */
	uint16_t port;
	int64_t timeout; /* microseconds, for everything */
	bool tls;
	bool h2;                     /* what TLS is to agree on */
	struct tls_client *client;   /* for TLS; NULL: then there can be none */
	struct tls_buffers *buffers;
};

/* OK with a connected wire that the callee takes; E_UPSTREAM_FAILED; E_UPSTREAM_TIMEOUT. Never comes
 * before dial_start returns. */
typedef void dial_cb(void *arg, enum err e, struct wire w);

/* E_NOMEM: no callback will come. */
enum err dial_start(struct loop *loop, struct resolver *r, const struct dial_to *to, dial_cb *cb,
    void *arg, struct dial **out);
/* No callback any more. */
void dial_cancel(struct dial *d);

#endif
