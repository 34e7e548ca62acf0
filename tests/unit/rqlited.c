#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "rqlited.h"

#include <arpa/inet.h>
#include <curl/curl.h>
#include <fcntl.h>
#include <jansson.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "store_fixture.h"

#define PATIENCE (60 * CLOCK_SEC)

/* Below Linux's range of ephemeral ports, so that no connection takes one; tests/e2e/harness/ports.py takes
 * blocks of the same. */
enum { PORTS = 12000, PORTS_END = 32000, BLOCK = 200 };

/* The first port of a block that no other process of any test run on this machine has: as long as this one
 * lives it holds a name for it, which belongs to the network namespace like the ports themselves. */
static int claim_block(void)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };

	for (int first = PORTS; first < PORTS_END; first += BLOCK) {
		int n = snprintf(a.sun_path + 1, sizeof a.sun_path - 1, "gateway-test-ports-%d", first);
		int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

		assert_true(fd >= 0);
		if (bind(fd, (struct sockaddr *)&a,
		    (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)n)) == 0)
			return first;
		close(fd);
	}
	fail_msg("all blocks of ports are taken");
	return 0;
}

static bool is_free(int port)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
		.sin_port = htons((uint16_t)port) };
	int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	bool is;

	assert_true(fd >= 0);
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one), 0);
	is = bind(fd, (struct sockaddr *)&a, sizeof a) == 0;
	close(fd);
	return is;
}

int free_port(void)
{
	static int block, given;

	if (block == 0)
		block = claim_block();
	for (int i = 0; i < BLOCK; i++) {
		int port = block + given++ % BLOCK;

		if (is_free(port))
			return port;
	}
	fail_msg("none of %d ports is free", BLOCK);
	return 0;
}

static size_t on_body(char *p, size_t size, size_t n, void *ctx)
{
	return buf_add(ctx, p, size * n) == OK ? size * n : 0;
}

static void set_tls(CURL *c, const struct rqlited *cl)
{
	char path[96];

	snprintf(path, sizeof path, "%s/ca.pem", cl->dir);
	curl_easy_setopt(c, CURLOPT_CAINFO, path); /* copied */
	snprintf(path, sizeof path, "%s/client.pem", cl->dir);
	curl_easy_setopt(c, CURLOPT_SSLCERT, path);
	snprintf(path, sizeof path, "%s/client.key", cl->dir);
	curl_easy_setopt(c, CURLOPT_SSLKEY, path);
}

/* GETs a path of the node; returns the status, 0 when there is no answer. */
static long get(const struct rqlited *cl, int i, const char *path, struct buf *body)
{
	const struct rqlited_node *node = &cl->node[i];
	CURL *c = curl_easy_init();
	char url[128];
	long status = 0;

	snprintf(url, sizeof url, "http%s://127.0.0.1:%d%s", cl->tls ? "s" : "", node->http, path);
	curl_easy_setopt(c, CURLOPT_URL, url);
	if (cl->tls)
		set_tls(c, cl);
	curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(c, CURLOPT_PROXY, "");
	curl_easy_setopt(c, CURLOPT_TIMEOUT_MS, 1000L);
	curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, on_body);
	curl_easy_setopt(c, CURLOPT_WRITEDATA, body);
	if (curl_easy_perform(c) == CURLE_OK)
		curl_easy_getinfo(c, CURLINFO_RESPONSE_CODE, &status);
	curl_easy_cleanup(c);
	return status;
}

static const char *binary(void)
{
	const char *path = getenv("RQLITED");

	if (path == NULL)
		path = "build/tools/rqlited";
	if (access(path, X_OK) != 0)
		fail_msg("%s is not there: run `make deps` (or set RQLITED)", path);
	return path;
}

static void show_log(const struct rqlited *c, int i)
{
	char cmd[160];

	snprintf(cmd, sizeof cmd, "tail -n 20 %s/node%d.log >&2", c->dir, i);
	if (system(cmd) != 0)
		print_error("node %d left no log\n", i);
}

struct args {
	const char *v[32];
	int n;
};

/* Up to a NULL. */
static void add_args(struct args *a, ...)
{
	const char *one;
	va_list ap;

	va_start(ap, a);
	while ((one = va_arg(ap, const char *)) != NULL)
		a->v[a->n++] = one;
	va_end(ap);
	a->v[a->n] = NULL;
}

static void exec_node(const struct rqlited *c, int i, const char *path)
{
	char http[32], raft[32], id[16], data[96], log[96], join[32], adv[32];
	struct args arg;
	int fd;

	snprintf(http, sizeof http, "127.0.0.1:%d", c->node[i].http);
	snprintf(raft, sizeof raft, "127.0.0.1:%d", c->node[i].raft);
	snprintf(join, sizeof join, "127.0.0.1:%d", c->node[0].raft);
	snprintf(id, sizeof id, "%d", i + 1);
	snprintf(data, sizeof data, "%s/node%d", c->dir, i);
	snprintf(log, sizeof log, "%s/node%d.log", c->dir, i);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	fd = open(log, O_WRONLY | O_CREAT | O_APPEND, 0600);
	dup2(fd, 1);
	dup2(fd, 2);
	arg = (struct args){ .n = 0 };
	add_args(&arg, "rqlited", "-node-id", id, "-http-addr", http, "-raft-addr", raft,
	    "-raft-timeout", "500ms", "-raft-election-timeout", "500ms",
	    "-raft-leader-lease-timeout", "400ms", "-raft-log-level", "INFO", NULL);
	if (i > 0) /* a node that has its files knows its peers: ignored then */
		add_args(&arg, "-join", join, NULL);
	if (c->tls && chdir(c->dir) == 0)
		add_args(&arg, "-http-ca-cert", "ca.pem", "-http-cert", "node.pem", "-http-key",
		    "node.key", "-http-verify-client", NULL);
	if (c->astray) {
		snprintf(adv, sizeof adv, "127.0.0.1:%d", free_port());
		add_args(&arg, "-http-adv-addr", adv, NULL);
	}
	add_args(&arg, data, NULL);
	execv(path, (char **)arg.v);
	_exit(127);
}

void rqlited_restart(struct rqlited *c, int i)
{
	char *path = realpath(binary(), NULL);

	assert_non_null(path);
	c->node[i].pid = fork();
	if (c->node[i].pid == 0)
		exec_node(c, i, path);
	free(path);
	assert_true(c->node[i].pid > 0);
}

void rqlited_wait_ready(struct rqlited *c, int i)
{
	int64_t until = clock_mono() + PATIENCE;
	struct buf body;
	long status;

	buf_init(&body, 1 << 20);
	while ((status = get(c, i, "/readyz", &body)) != 200 && clock_mono() < until)
		poll_again();
	buf_release(&body);
	if (status != 200) {
		show_log(c, i);
		fail_msg("rqlited %d did not become ready", i);
	}
}

static void start(struct rqlited *c)
{
	size_t len = (size_t)snprintf(c->url, sizeof c->url, "rqlite:");

	for (int i = 0; i < c->n; i++) {
		c->node[i].http = free_port();
		c->node[i].raft = free_port();
		len += (size_t)snprintf(c->url + len, sizeof c->url - len, "%shttp%s://127.0.0.1:%d",
		    i > 0 ? "," : "", c->tls ? "s" : "", c->node[i].http);
	}
	rqlited_restart(c, 0);
	rqlited_wait_ready(c, 0);
	for (int i = 1; i < c->n; i++)
		rqlited_restart(c, i);
	for (int i = 1; i < c->n; i++)
		rqlited_wait_ready(c, i);
}

static void make_certificates(const struct rqlited *c)
{
	char cmd[1400];

	snprintf(cmd, sizeof cmd, "cd %s && exec 2>/dev/null &&"
	    " K='-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes' &&"
	    " openssl req -x509 $K -keyout ca.key -out ca.pem -subj /CN=test-ca -days 2 &&"
	    " printf 'subjectAltName=IP:127.0.0.1\\nextendedKeyUsage=serverAuth,clientAuth\\n' >ext &&"
	    " for who in node client; do"
	    " openssl req $K -keyout $who.key -out $who.csr -subj /CN=$who &&"
	    " openssl x509 -req -in $who.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2"
	    " -extfile ext -out $who.pem || exit 1; done", c->dir);
	if (system(cmd) != 0)
		fail_msg("openssl made no certificates: run `make deps`");
}

void rqlited_start(struct rqlited *c, int n)
{
	*c = (struct rqlited){ .n = n };
	temp_make(c->dir);
	start(c);
}

void rqlited_start_tls(struct rqlited *c, int n)
{
	*c = (struct rqlited){ .n = n, .tls = true };
	temp_make(c->dir);
	make_certificates(c);
	start(c);
}

void rqlited_start_astray(struct rqlited *c, int n)
{
	*c = (struct rqlited){ .n = n, .astray = true };
	temp_make(c->dir);
	start(c);
}

void rqlited_kill(struct rqlited *c, int i)
{
	if (c->node[i].pid == 0)
		return;
	kill(c->node[i].pid, SIGKILL);
	waitpid(c->node[i].pid, NULL, 0);
	c->node[i].pid = 0;
}

void rqlited_pause(struct rqlited *c, int i)
{
	kill(c->node[i].pid, SIGSTOP);
}

void rqlited_resume(struct rqlited *c, int i)
{
	kill(c->node[i].pid, SIGCONT);
}

void rqlited_stop(struct rqlited *c)
{
	for (int i = 0; i < c->n; i++)
		rqlited_kill(c, i);
	temp_remove(c->dir);
}

/* Who leads, as this node sees it: an index, or -1. */
static int leader_of(const struct rqlited *c, int i)
{
	struct buf body;
	json_t *nodes = NULL, *node;
	const char *id;
	int leader = -1;

	buf_init(&body, 1 << 20);
	if (get(c, i, "/nodes", &body) == 200)
		nodes = json_loadb(body.p, body.n, 0, NULL);
	json_object_foreach(nodes, id, node)
		if (json_is_true(json_object_get(node, "leader")))
			leader = atoi(id) - 1;
	json_decref(nodes);
	buf_release(&body);
	return leader;
}

int rqlited_leader(struct rqlited *c)
{
	int64_t until = clock_mono() + PATIENCE;

	while (clock_mono() < until) {
		int votes[RQLITED_MAX] = { 0 }, l;

		for (int i = 0; i < c->n; i++)
			if (c->node[i].pid != 0 && (l = leader_of(c, i)) >= 0 && ++votes[l] > c->n / 2 &&
			    c->node[l].pid != 0)
				return l;
		poll_again();
	}
	fail_msg("the cluster has no leader");
	return -1;
}
