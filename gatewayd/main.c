/* gatewayd: the architecture, from top to bottom. Things are made in the order in which they stand on
 * each other, and unmade in reverse. */
#include <errno.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "args.h"
#include "base/clock.h"
#include "base/config.h"
#include "base/heap.h"
#include "base/log.h"
#include "base/standard_fds.h"
#include "control.h"
#include "dump.h"
#include "house.h"

#define TICK_MS 200

extern char **environ;

static enum err load_config(const struct args *a, struct config **out, struct fail *f)
{
	struct config *c = config_new();
	enum err e = E_NOMEM;

	if (c != NULL)
		e = config_load(c, a->file, a->overrides, a->noverrides, environ, f);
	if (e == OK)
		e = config_resolve(c, f);
	if (e != OK) {
		config_free(c);
		return e;
	}
	log_configure((enum log_level)c->log_level, c->log_format == LOG_FORMAT_TEXT);
	*out = c;
	return OK;
}

/* Secrets stay out of core files and of other processes' reach; descriptors up to the hard limit. */
static void harden(void)
{
	struct rlimit core = { 0, 0 }, fds;

	(void)prctl(PR_SET_DUMPABLE, 0);
	(void)setrlimit(RLIMIT_CORE, &core);
	if (getrlimit(RLIMIT_NOFILE, &fds) == 0) {
		fds.rlim_cur = fds.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &fds);
	}
	(void)signal(SIGPIPE, SIG_IGN);
}

/* What is large and short-lived (a whole routing document, its text, its answer) goes back to the system
 * when it is freed. Left alone, glibc raises the bound to the largest piece ever freed, and each thread's
 * arena then keeps what its largest piece needed. */
static void bound_memory(void)
{
	enum { LARGE = 1 << 20 };

	(void)mallopt(M_MMAP_THRESHOLD, LARGE);
	(void)mallopt(M_TRIM_THRESHOLD, LARGE);
}

static void block_signals(sigset_t *set)
{
	sigemptyset(set);
	sigaddset(set, SIGHUP);
	sigaddset(set, SIGINT);
	sigaddset(set, SIGTERM);
	pthread_sigmask(SIG_BLOCK, set, NULL);
}

static void reload(const struct args *a, struct control *c)
{
	struct config *next = config_new();
	struct fail f = { 0 };
	enum err e = E_NOMEM;

	if (next != NULL)
		e = config_load(next, a->file, a->overrides, a->noverrides, environ, &f);
	if (e == OK)
		e = control_reload(c, next, &f);
	if (e == OK) {
		log_info("reloaded");
	} else {
		config_free(next);
		if (f.err == OK)
			f.err = e;
		log_fail("reload failed; the old configuration stays", &f);
	}
	fail_clear(&f);
}

/* Waits for signals; looks after the freshness of state meanwhile. Returns at SIGTERM or SIGINT. */
static void attend(const struct args *a, struct control *c, const sigset_t *set)
{
	const struct timespec tick = { 0, TICK_MS * 1000000L };

	for (;;) {
		int sig = sigtimedwait(set, NULL, &tick);

		control_tick(c);
		if (sig == SIGHUP)
			reload(a, c);
		else if (sig == SIGINT || sig == SIGTERM)
			return;
	}
}

static enum err serve(const struct args *a, struct control *c, const struct config *config,
    struct fail *f)
{
	struct house *h = NULL;
	sigset_t set;
	enum err e;

	block_signals(&set);
	e = house_open(c, config, &h, f);
	if (e == OK)
		e = house_start(h, f);
	if (e == OK) {
		attend(a, c, &set);
		house_drain(h, &set);
	}
	house_close(h);
	return e;
}

static int failed(const struct fail *f)
{
	char fault[FAIL_FAULT_LEN];

	fprintf(stderr, "gatewayd: %s\n", fail_text(f));
	for (size_t i = 0; fail_fault(f, i, fault); i++)
		fprintf(stderr, "  %s\n", fault);
	return err_info(f->err)->exit;
}

static int quick(const struct args *a, struct fail *f)
{
	if (a->help)
		return fputs(args_usage, stdout) < 0;
	if (a->version)
		return printf("gatewayd %s\n", GW_VERSION) < 0;
	return dump(a->dump, stdout, f) == OK ? 0 : failed(f);
}

int main(int argc, char **argv)
{
	struct args args;
	struct config *config = NULL;
	struct control *control = NULL;
	struct fail f = { 0 };
	int rc = 0;

	standard_fds_keep();
	if (args_parse(argc, argv, &args, &f) != OK) {
		fputs(args_usage, stderr);
		return failed(&f);
	}
	if (args.help || args.version || args.dump != NULL)
		return quick(&args, &f);
	harden();
	bound_memory();
	if (load_config(&args, &config, &f) != OK) {
		rc = failed(&f);
		goto out;
	}
	if (control_new(config, args.check, &control, &f) != OK) {
		config_free(config);
		rc = failed(&f);
		goto out;
	}
	if (args.check)
		printf("ok: configuration, certificates, store, schema and routing\n");
	else if (serve(&args, control, config, &f) != OK)
		rc = failed(&f);
out:
	control_free(control);
	fail_clear(&f);
	return rc;
}
