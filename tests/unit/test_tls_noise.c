/* A peer whose records bring nothing, faster than anybody reads them: GnuTLS itself, on a thread. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <gnutls/gnutls.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tls_fixture.h"

struct peer {
	const char *priority;
	int (*send)(gnutls_session_t g); /* one record; < 0: it could not */
	int times;                       /* 0: until the other side has had enough */
	int fd;
	gnutls_session_t g;
};

static int send_warning(gnutls_session_t g)
{
	return gnutls_alert_send(g, GNUTLS_AL_WARNING, GNUTLS_A_USER_CANCELED);
}

static int send_nothing(gnutls_session_t g)
{
	return (int)gnutls_record_send2(g, "", 0, 16, 0);
}

static int send_byte(gnutls_session_t g)
{
	return (int)gnutls_record_send(g, "x", 1);
}

static void *peer_main(void *arg)
{
	struct peer *p = arg;
	int k;

	do
		k = gnutls_handshake(p->g);
	while (k < 0 && gnutls_error_is_fatal(k) == 0);
	for (int i = 0; k >= 0 && (i < p->times || p->times == 0); i++)
		k = p->send(p->g);
	shutdown(p->fd, SHUT_WR);
	return NULL;
}

static void connect_peer(struct peer *p, gnutls_certificate_credentials_t cred, int fd)
{
	p->fd = fd;
	assert_int_equal(gnutls_init(&p->g, GNUTLS_CLIENT | GNUTLS_NO_SIGNAL), 0);
	assert_int_equal(gnutls_priority_set_direct(p->g, p->priority, NULL), 0);
	assert_int_equal(gnutls_credentials_set(p->g, GNUTLS_CRD_CERTIFICATE, cred), 0);
	gnutls_transport_set_int2(p->g, fd, fd);
}

static void wait_readable(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	assert_int_equal(poll(&p, 1, 20000), 1);
}

/* What the session reads of it until an end: bytes. */
static size_t read_all(struct tls_session *s, int fd)
{
	char *in = malloc(65536);
	size_t total = 0;
	ssize_t n = TLS_AGAIN;

	while (n > 0 || n == TLS_AGAIN) {
		n = tls_session_read(s, in, 65536);
		if (n == TLS_AGAIN)
			wait_readable(fd);
		total += n > 0 ? (size_t)n : 0;
	}
	free(in);
	return total;
}

/* Bytes of content that came before the end, which is none that TLS knows. */
static size_t listen_to(struct peer *p)
{
	struct tls_server *server = tls_pki_server("node", NULL);
	gnutls_certificate_credentials_t cred;
	struct tls_buffers *b;
	struct tls_session *s;
	enum tls_step step;
	pthread_t thread;
	size_t total;
	int fd[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fd), 0);
	assert_int_equal(fcntl(fd[0], F_SETFL, O_NONBLOCK), 0);
	assert_int_equal(tls_buffers_new(&b), OK);
	assert_int_equal(gnutls_certificate_allocate_credentials(&cred), 0);
	assert_int_equal(tls_session_accept(server, b, fd[0], TLS_HTTP1, &s), OK);
	connect_peer(p, cred, fd[1]);
	assert_int_equal(pthread_create(&thread, NULL, peer_main, p), 0);
	while ((step = tls_session_handshake(s)) == TLS_GOING)
		wait_readable(fd[0]);
	assert_int_equal(step, TLS_DONE);
	total = read_all(s, fd[0]);
	close(fd[0]);
	pthread_join(thread, NULL);
	close(fd[1]);
	tls_session_free(s);
	tls_buffers_free(b);
	gnutls_deinit(p->g);
	gnutls_certificate_free_credentials(cred);
	tls_server_unref(server);
	return total;
}

static void noise_ends_the_session(void **state)
{
	struct peer warns = { .priority = "NORMAL:-VERS-ALL:+VERS-TLS1.2", .send = send_warning };
	struct peer says_nothing = { .priority = "NORMAL:-VERS-ALL:+VERS-TLS1.3", .send = send_nothing };

	(void)state;
	assert_int_equal(listen_to(&warns), 0);
	assert_int_equal(listen_to(&says_nothing), 0);
}

/* The smallest records that have content, and more bytes of them in all. */
static void content_is_no_noise(void **state)
{
	struct peer p = { .priority = "NORMAL", .send = send_byte, .times = 30000 };

	(void)state;
	assert_int_equal(listen_to(&p), p.times);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(noise_ends_the_session),
		cmocka_unit_test(content_is_no_noise),
	};

	return cmocka_run_group_tests(tests, tls_pki_set_up, tls_pki_tear_down);
}
