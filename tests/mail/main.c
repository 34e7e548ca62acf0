/* mailer: the mail room as a program, for tests that put it before a real server and kill it.
 *
 *   mailer STORE add KIND TO TOKEN...    queues one mail for each token
 *   mailer STORE send URL [KEY=VALUE...] sends until SIGTERM; prints its metrics at the end
 *
 * STORE is a store URL; it is migrated first. The master key is the file master.key of the working
 * directory. Keys: user, password-file, ca, and times in milliseconds: timeout, lease, poll, retry,
 * give-up. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/log.h"
#include "crypto/seal.h"
#include "iam/write.h"
#include "mail/letter.h"
#include "mail/queue.h"
#include "mail/sender.h"
#include "mail/transport.h"
#include "store/migrate.h"
#include "store/store.h"

static struct store *store;
static struct seal *seal;

static int die(const char *what, const struct fail *f)
{
	fprintf(stderr, "mailer: %s: %s: %s\n", what, err_code(f->err), fail_text(f));
	return 1;
}

/* ---- add ----------------------------------------------------------------------------------- */

static int find_kind(const char *name)
{
	int k = 0;

	while (k < MAIL__KINDS && strcmp(mail_kind_name((enum mail_kind)k), name) != 0)
		k++;
	return k;
}

static int add(char **argv)
{
	struct letterhead h = { .seal = seal, .from = STR("Gateway <gateway@example.test>"),
		.link_base = STR("https://ui.example.test/open") };
	struct letter l = { .kind = (enum mail_kind)find_kind(argv[0]), .to = str_c(argv[1]),
		.valid_us = 1800 * CLOCK_SEC };
	struct mail_templates *templates;
	struct fail f = { 0 };
	struct arena a;
	struct write w;

	if (l.kind == MAIL__KINDS)
		return 2;
	if (mail_templates_load(NULL, &templates, &f) != OK)
		return die("templates", &f);
	h.templates = templates;
	arena_init(&a, 64 << 20);
	for (argv += 2; *argv != NULL; argv++) {
		write_init(&w, &a, clock_wall());
		l.token = str_c(*argv);
		if (letter_add(&w, &h, &l, &f) != OK)
			return die("letter", &f);
		if (write_run(&w, store, &f) != OK)
			return die("write", &f);
	}
	mail_templates_free(templates);
	arena_release(&a);
	return 0;
}

/* ---- send ---------------------------------------------------------------------------------- */

struct options {
	struct mail_transport_config transport;
	struct mail_policy policy;
	char password[256];
};

static int read_password(struct options *o, const char *path)
{
	FILE *f = fopen(path, "r");

	if (f == NULL)
		return 1;
	o->transport.password = str_n(o->password, fread(o->password, 1, sizeof o->password, f));
	fclose(f);
	return 0;
}

static int set_option(struct options *o, char *arg)
{
	struct {
		const char *key;
		int64_t *us;
	} times[] = {
		{ "timeout", &o->transport.timeout_us }, { "lease", &o->policy.lease },
		{ "poll", &o->policy.poll }, { "retry", &o->policy.retry_min },
		{ "give-up", &o->policy.give_up },
	};
	char *value = strchr(arg, '=');

	if (value == NULL)
		return 2;
	*value++ = '\0';
	if (strcmp(arg, "user") == 0)
		return o->transport.user = value, 0;
	if (strcmp(arg, "ca") == 0)
		return o->transport.ca = value, 0;
	if (strcmp(arg, "password-file") == 0)
		return read_password(o, value);
	for (size_t i = 0; i < sizeof times / sizeof *times; i++)
		if (strcmp(arg, times[i].key) == 0)
			return *times[i].us = strtol(value, NULL, 10) * CLOCK_MS, 0;
	return 2;
}

static void print_metrics(struct mail_sender *s)
{
	struct buf b;

	buf_init(&b, 1 << 16);
	mail_sender_write_metrics(s, &b);
	fprintf(stderr, "%s", buf_cstr(&b));
	buf_release(&b);
}

static int send_until_term(char **argv)
{
	static struct options o; /* the policy is referred to until the end */
	struct mail_sender_config c = { .store = store, .seal = seal, .policy = &o.policy };
	struct mail_transport *t;
	struct mail_sender *s;
	struct fail f = { 0 };
	sigset_t term;
	int sig;

	o.policy = mail_policy_default;
	o.transport.url = argv[0];
	for (argv++; *argv != NULL; argv++)
		if (set_option(&o, *argv) != 0)
			return 2;
	sigemptyset(&term);
	sigaddset(&term, SIGTERM);
	pthread_sigmask(SIG_BLOCK, &term, NULL);
	c.replica = id_new(clock_wall());
	if (mail_transport_open(&o.transport, &t, &f) != OK)
		return die("transport", &f);
	if (mail_sender_start(&c, t, &s, &f) != OK)
		return die("sender", &f);
	log_info("ready");
	sigwait(&term, &sig);
	print_metrics(s);
	mail_sender_stop(s);
	return 0;
}

int main(int argc, char **argv)
{
	struct store_config sc = { .url = argc > 1 ? argv[1] : "" };
	struct fail f = { 0 };
	int rc = 2;

	if (argc < 4)
		return 2;
	log_configure(LOG_DEBUG, false);
	if (store_open(&store, &sc, &f) != OK)
		return die("store", &f);
	if (migrate_up(store, migrations_embedded, clock_wall(), NULL, &f) != OK ||
	    seal_load("", "master.key", true, &seal, &f) != OK)
		rc = die("set-up", &f);
	else if (strcmp(argv[2], "add") == 0 && argc > 5)
		rc = add(argv + 3);
	else if (strcmp(argv[2], "send") == 0)
		rc = send_until_term(argv + 3);
	seal_free(seal);
	store_close(store);
	return rc;
}
