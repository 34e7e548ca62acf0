#include "certs.h"

#include <stddef.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/config.h"
#include "crypto/tls_client.h"
#include "crypto/tls_server.h"
#include "obs/obs.h"

enum err certs_load(const struct config *c, struct certs *out, struct fail *f)
{
	int64_t now = clock_wall();
	enum err e = OK;

	*out = (struct certs){ 0 };
	if (c->tls_cert != NULL)
		e = tls_server_load(c->tls_cert, c->tls_key, c->tls_client_ca, now, &out->listeners, f);
	if (e != OK)
		return fail_wrap(f, "tls");
	e = tls_client_load(c->upstream_ca, c->upstream_cert, c->upstream_key, now, &out->nodes, f);
	if (e == OK)
		return OK;
	certs_unref(out);
	return fail_wrap(f, "upstream");
}

struct certs certs_ref(const struct certs *c)
{
	return (struct certs){ tls_server_ref(c->listeners), tls_client_ref(c->nodes) };
}

void certs_unref(struct certs *c)
{
	tls_server_unref(c->listeners);
	tls_client_unref(c->nodes);
	*c = (struct certs){ 0 };
}

enum err certs_check_reload(const struct config *old, const struct config *next, struct fail *f)
{
	if ((old->tls_cert != NULL) == (next->tls_cert != NULL))
		return OK;
	return fail_set(f, E_CONFIG, "tls.cert: listeners change between plaintext and TLS only at a restart");
}

void certs_expiry(const struct certs *c, int64_t *clients, int64_t *nodes)
{
	*clients = c->listeners != NULL ? tls_server_expires(c->listeners) : 0;
	*nodes = tls_client_expires(c->nodes);
}

static void write_expiry(struct buf *out, const char *name, const char *whom, int64_t expires)
{
	if (expires != 0)
		buf_printf(out, "%s{shown_to=\"%s\"} %lld\n", name, whom,
		    (long long)((expires - clock_wall()) / CLOCK_SEC));
}

void certs_write_metrics(const struct certs *c, struct buf *out)
{
	static const char name[] = "gateway_tls_certificate_expiry_seconds";
	int64_t clients, nodes;

	certs_expiry(c, &clients, &nodes);
	if (clients == 0 && nodes == 0)
		return;
	obs_family(out, name);
	write_expiry(out, name, "clients", clients);
	write_expiry(out, name, "nodes", nodes);
}
