/* Certificates made by openssl(1) in a directory of the test's own, and pairs of TLS sessions on sockets
 * that the test looks after itself. */
#ifndef TLS_FIXTURE_H
#define TLS_FIXTURE_H

#include <stdbool.h>
#include <stddef.h>

#include "crypto/tls_client.h"
#include "crypto/tls_server.h"
#include "crypto/tls_session.h"

/* Of a group of tests: cmocka_run_group_tests(tests, tls_pki_set_up, tls_pki_tear_down) makes
 * ca.pem, other-ca.pem, and by ca: NAME.pem and NAME.key with NAME
 *   node     DNS:node.test, DNS:*.wild.test, IP:127.0.0.1, IP:::1
 *   bare     a common name node.test and nothing else
 *   expired  as node
 *   caller   URI:spiffe://test/caller
 *   server-only, client-only   as node, of that purpose only
 * and by other-ca: stranger, as node. */
int tls_pki_set_up(void **state);
int tls_pki_tear_down(void **state);
/* The path of one of the files; one of a few static ones. NULL stays NULL. */
const char *tls_pki_path(const char *file);

struct tls_server *tls_pki_server(const char *name, const char *client_ca);
struct tls_client *tls_pki_client(const char *ca, const char *name);

/* Two ends, and a wire between them. */
struct tls_pair {
	struct tls_buffers *b;
	struct tls_session *client, *server;
	int client_fd, server_fd;
};
/* host: whom the client wants to reach. */
void tls_pair_open(struct tls_pair *p, struct tls_server *server, enum tls_alpn server_alpn,
    struct tls_client *client, enum tls_alpn client_alpn, const char *host);
/* Both shake hands until each is done or has failed. True: both are done. */
bool tls_pair_shake(struct tls_pair *p);
void tls_pair_close(struct tls_pair *p);

#endif
