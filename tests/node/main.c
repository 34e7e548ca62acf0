/* samplenode: a small, true event-sourced node behind the gateway, for tests, demo and benchmark.
 * It keeps events in memory, answers commands and queries on HTTP/1.1 and gRPC, and the node admin
 * calls. Each of --threads runs one loop; connections go round them. */
#include "grpc.h"
#include "http.h"
#include "listener.h"
#include "loop.h"
#include "node.h"

#include <getopt.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#define MAX_THREADS 64

static const char usage[] =
	"usage: samplenode [--http ADDR:PORT] [--grpc ADDR:PORT] [--admin ADDR:PORT]\n"
	"                  [--threads N] [--name NAME]\n"
	"Port 0 takes a free one. Prints \"listening WHAT ADDR:PORT\" for each, then \"ready\".\n";

enum { HTTP, GRPC, ADMIN, NWHERE };

static struct loop loops[MAX_THREADS];
static struct listener listeners[NWHERE];

static void *thread(void *arg)
{
	loop_run(arg);
	return NULL;
}

static int read_threads(const char *text)
{
	char *end;
	long n = strtol(text, &end, 10);

	if (*end || n < 1 || n > MAX_THREADS) {
		fprintf(stderr, "samplenode: --threads is 1 to %d\n", MAX_THREADS);
		exit(2);
	}
	return (int)n;
}

static void start(int threads)
{
	sigset_t set;
	int sig;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	for (int i = 0; i < threads; i++) {
		pthread_t id;
		if (pthread_create(&id, NULL, thread, &loops[i]))
			abort();
	}
	puts("ready");
	fflush(stdout);
	sigwait(&set, &sig);
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "http", required_argument, NULL, HTTP },
		{ "grpc", required_argument, NULL, GRPC },
		{ "admin", required_argument, NULL, ADMIN },
		{ "threads", required_argument, NULL, 't' },
		{ "name", required_argument, NULL, 'n' },
		{ NULL, 0, NULL, 0 },
	};
	void (*const open[])(struct loop * l, int fd) = { http_open, grpc_open, http_open };
	const char *where[NWHERE] = { 0 };
	int threads = 1, opt;

	while ((opt = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (opt < NWHERE)
			where[opt] = optarg;
		else if (opt == 't')
			threads = read_threads(optarg);
		else if (opt == 'n')
			node_name = optarg;
		else
			return fputs(usage, stderr), 2;
	}
	if (optind != argc || (!where[HTTP] && !where[GRPC] && !where[ADMIN]))
		return fputs(usage, stderr), 2;
	for (int i = 0; i < threads; i++)
		loop_init(&loops[i]);
	for (int i = 0; i < NWHERE; i++)
		if (where[i])
			listener_init(&listeners[i], options[i].name, where[i], loops,
			              (size_t)threads, open[i]);
	start(threads);
	return 0;
}
