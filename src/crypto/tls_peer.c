#include "crypto/tls_peer.h"

#include <arpa/inet.h>
#include <gnutls/x509.h>

#include "base/clock.h"
#include "base/heap.h"

int tls_peer_new(const gnutls_datum_t *der, struct tls_peer **out)
{
	struct tls_peer *p = heap_zalloc(sizeof *p);
	int k = p != NULL ? gnutls_x509_crt_init(&p->crt) : GNUTLS_E_MEMORY_ERROR;

	if (k < 0) {
		heap_free(p);
		return k;
	}
	p->refs = 1;
	*out = p;
	k = gnutls_x509_crt_import(p->crt, der, GNUTLS_X509_FMT_DER);
	p->expires = (int64_t)gnutls_x509_crt_get_expiration_time(p->crt) * CLOCK_SEC;
	return k;
}

void tls_peer_unref(struct tls_peer *p)
{
	if (p == NULL || --p->refs > 0)
		return;
	gnutls_x509_crt_deinit(p->crt);
	heap_free(p);
}

bool tls_host_is_address(const char *host, gnutls_datum_t *bytes, unsigned char out[16])
{
	*bytes = (gnutls_datum_t){ out, 4 };
	if (inet_pton(AF_INET, host, out) == 1)
		return true;
	bytes->size = 16;
	return inet_pton(AF_INET6, host, out) == 1;
}

/* RFC 9525, 6.3: only a subject alternative name counts, where GnuTLS would take a common name too. */
static bool has_dns_name(gnutls_x509_crt_t crt)
{
	char name[1];
	unsigned type;

	for (unsigned i = 0;; i++) {
		size_t n = sizeof name;
		int k = gnutls_x509_crt_get_subject_alt_name2(crt, i, name, &n, &type, NULL);

		if (k == GNUTLS_E_REQUESTED_DATA_NOT_AVAILABLE)
			return false;
		if ((k >= 0 || k == GNUTLS_E_SHORT_MEMORY_BUFFER) && type == GNUTLS_SAN_DNSNAME)
			return true;
	}
}

int tls_peer_verify_node(gnutls_session_t g, const struct tls_peer *p, const char *host, unsigned *status)
{
	unsigned char address[16];
	gnutls_typed_vdata_st want[2] = {
		{ GNUTLS_DT_KEY_PURPOSE_OID, (unsigned char *)GNUTLS_KP_TLS_WWW_SERVER, 0 },
	};
	gnutls_datum_t bytes;
	bool by_address = tls_host_is_address(host, &bytes, address);
	int k;

	if (by_address)
		want[1] = (gnutls_typed_vdata_st){ GNUTLS_DT_IP_ADDRESS, bytes.data, bytes.size };
	else
		want[1] = (gnutls_typed_vdata_st){ GNUTLS_DT_DNS_HOSTNAME, (unsigned char *)host, 0 };
	k = gnutls_certificate_verify_peers(g, want, 2, status);
	if (k >= 0 && !by_address && !has_dns_name(p->crt))
		*status |= GNUTLS_CERT_INVALID | GNUTLS_CERT_UNEXPECTED_OWNER;
	return k;
}

int tls_peer_verify_caller(gnutls_session_t g, unsigned *status)
{
	gnutls_typed_vdata_st want = { GNUTLS_DT_KEY_PURPOSE_OID,
		(unsigned char *)GNUTLS_KP_TLS_WWW_CLIENT, 0 };

	return gnutls_certificate_verify_peers(g, &want, 1, status);
}
