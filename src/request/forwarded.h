/* Whom a proxy in front of the gateway speaks for: x-forwarded-for and x-forwarded-proto, believed from
 * configured networks alone. From then on r->peer is the client and r->tls is how it came; what the
 * connection itself is stays with the front. Worker thread. */
#ifndef REQUEST_FORWARDED_H
#define REQUEST_FORWARDED_H

struct config_networks;
struct request;

/* Walks x-forwarded-for (all of its lines, as one list) from its end: each address that is a trusted
 * proxy's own is stepped over; the first that is not is the client. Stops at whatever is no address: the
 * last one that was believed is the client then. */
void forwarded_apply(struct request *r, const struct config_networks *trusted);

#endif
