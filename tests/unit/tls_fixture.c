#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "tls_fixture.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"

static const char script[] =
    "set -e; exec >openssl.log 2>&1\n"
    "key='-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes'\n"
    "san='subjectAltName=DNS:node.test,DNS:*.wild.test,IP:127.0.0.1,IP:::1'\n"
    "for ca in ca other-ca; do\n"
    "  openssl req -x509 $key -days 2 -subj /CN=$ca -keyout $ca.key -out $ca.pem\n"
    "done\n"
    "issue() { # NAME CA DAYS SUBJECT EXTENSIONS\n"
    "  printf \"$5\" > $1.ext\n"
    "  openssl req $key -subj $4 -keyout $1.key -out $1.csr\n"
    "  openssl x509 -req -in $1.csr -CA $2.pem -CAkey $2.key -CAcreateserial -days $3 \\\n"
    "    -extfile $1.ext -out $1.pem\n"
    "}\n"
    "issue node ca 2 /CN=node \"$san\\n\"\n"
    "issue bare ca 2 /CN=node.test 'keyUsage=digitalSignature\\n'\n"
    "issue expired ca -1 /CN=node \"$san\\n\"\n"
    "issue caller ca 2 /O=test/CN=caller 'subjectAltName=URI:spiffe://test/caller\\n'\n"
    "issue server-only ca 2 /CN=node \"$san\\nextendedKeyUsage=serverAuth\\n\"\n"
    "issue client-only ca 2 /CN=node \"$san\\nextendedKeyUsage=clientAuth\\n\"\n"
    "issue stranger other-ca 2 /CN=node \"$san\\n\"\n"
    "openssl ec -in node.key -aes128 -passout pass:secret -out locked.key\n"
    "echo nonsense > junk.pem\n"
    ": > empty.pem\n";

static char dir[64];

int tls_pki_set_up(void **state)
{
	char cmd[sizeof script + 80];

	(void)state;
	strcpy(dir, "/tmp/tls-XXXXXX");
	assert_non_null(mkdtemp(dir));
	snprintf(cmd, sizeof cmd, "cd %s\n%s", dir, script);
	if (system(cmd) != 0)
		fail_msg("openssl(1) made no certificates: see %s/openssl.log", dir);
	return 0;
}

int tls_pki_tear_down(void **state)
{
	char cmd[80];

	(void)state;
	snprintf(cmd, sizeof cmd, "rm -r %s", dir);
	assert_int_equal(system(cmd), 0);
	return 0;
}

const char *tls_pki_path(const char *file)
{
	static char paths[8][128];
	static unsigned next;
	char *path = paths[next++ % 8];

	if (file == NULL)
		return NULL;
	snprintf(path, sizeof paths[0], "%s/%s", dir, file);
	return path;
}

static const char *pki_name(const char *name, const char *suffix)
{
	char file[64];

	snprintf(file, sizeof file, "%s%s", name, suffix);
	return tls_pki_path(file);
}

struct tls_server *tls_pki_server(const char *name, const char *client_ca)
{
	struct tls_server *t = NULL;
	struct fail f = { 0 };

	if (tls_server_load(pki_name(name, ".pem"), pki_name(name, ".key"),
	    tls_pki_path(client_ca), clock_wall(), &t, &f) != OK)
		fail_msg("%s", fail_text(&f));
	return t;
}

struct tls_client *tls_pki_client(const char *ca, const char *name)
{
	struct tls_client *t = NULL;
	struct fail f = { 0 };

	if (tls_client_load(tls_pki_path(ca), name != NULL ? pki_name(name, ".pem") : NULL,
	    name != NULL ? pki_name(name, ".key") : NULL, clock_wall(), &t, &f) != OK)
		fail_msg("%s", fail_text(&f));
	return t;
}

void tls_pair_open(struct tls_pair *p, struct tls_server *server, enum tls_alpn server_alpn,
    struct tls_client *client, enum tls_alpn client_alpn, const char *host)
{
	int fds[2];

	*p = (struct tls_pair){ 0 };
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
	p->client_fd = fds[0];
	p->server_fd = fds[1];
	assert_int_equal(tls_buffers_new(&p->b), OK);
	assert_int_equal(tls_session_accept(server, p->b, fds[1], server_alpn, &p->server), OK);
	assert_int_equal(tls_session_connect(client, p->b, fds[0], host, client_alpn, &p->client), OK);
}

bool tls_pair_shake(struct tls_pair *p)
{
	enum tls_step c = TLS_GOING, s = TLS_GOING;

	for (int i = 0; i < 100 && (c == TLS_GOING || s == TLS_GOING); i++) {
		if (c == TLS_GOING)
			c = tls_session_handshake(p->client);
		if (s == TLS_GOING)
			s = tls_session_handshake(p->server);
	}
	assert_true(c != TLS_GOING && s != TLS_GOING);
	return c == TLS_DONE && s == TLS_DONE;
}

void tls_pair_close(struct tls_pair *p)
{
	tls_session_free(p->client);
	tls_session_free(p->server);
	tls_buffers_free(p->b);
	if (p->client_fd >= 0)
		close(p->client_fd);
	if (p->server_fd >= 0)
		close(p->server_fd);
}
