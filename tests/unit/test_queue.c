/* The queue of mail on a real SQLite store: claims raced and leased, kill -9 at each step, and that
 * no token is in the file. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/heap.h"
#include "iam_fixture.h"
#include "mail/letter.h"
#include "mail/queue.h"

#define LEASE (60 * CLOCK_SEC)
#define TOKEN "SecretSecretSecretSecretSecretSecretSecret1"

static const struct id ann = { { 1 } }, bob = { { 2 } };

static void add_letter(struct iam *t, struct write *w, const char *to)
{
	struct letterhead h = { .seal = t->seal, .from = STR("Gate <gate@example.test>"),
		.link_base = STR("https://ui.test/reset") };
	struct letter l = { .kind = MAIL_RESET, .to = str_c(to), .token = STR(TOKEN),
		.valid_us = 1800 * CLOCK_SEC };
	struct mail_templates *templates;
	struct fail f = { 0 };

	assert_ok(mail_templates_load(NULL, &templates, &f), &f);
	h.templates = templates;
	assert_ok(letter_add(w, &h, &l, &f), &f);
	mail_templates_free(templates);
}

static void add(struct iam *t, const char *to)
{
	struct write w;

	iam_begin(t, &w);
	add_letter(t, &w, to);
	assert_int_equal(iam_commit(t, &w), OK);
}

static struct mail_claim claim(struct iam *t, const struct id *who, int64_t now)
{
	struct mail_claim c;
	struct fail f = { 0 };

	assert_ok(mail_claim(t->x.store, who, now, LEASE, &t->x.arena, &c, &f), &f);
	return c;
}

static void a_letter_is_queued_and_claimed(void **state)
{
	struct iam *t = *state;
	struct mail_claim c;
	struct buf plain;

	assert_true(claim(t, &ann, NOW).next_at == INT64_MAX);
	add(t, "ada@example.test");
	c = claim(t, &ann, NOW);
	assert_true(c.found);
	assert_true(c.until == NOW + LEASE);
	assert_true(str_eq(c.mail.kind, STR("reset")));
	assert_true(str_eq(c.mail.sender, STR("gate@example.test")));
	assert_true(str_eq(c.mail.recipient, STR("ada@example.test")));
	assert_int_equal(c.mail.attempts, 1);
	assert_true(c.mail.created_at == NOW);
	buf_init(&plain, 1 << 16);
	assert_int_equal(mail_open(t->seal, &c.mail, &plain), OK);
	assert_non_null(strstr(buf_cstr(&plain), "\r\nhttps://ui.test/reset?token=" TOKEN "\r\n"));
	assert_non_null(strstr(plain.p, "\r\nTo: ada@example.test\r\n"));
	assert_non_null(strstr(plain.p, "30 minutes"));
	buf_release(&plain);
	assert_int_equal(mail_sent(t->x.store, &c.mail, NOW, NULL), OK);
	assert_int_equal(iam_count(t, "SELECT count(*) FROM mail"), 0);
}

static void a_body_opens_in_no_other_row(void **state)
{
	struct iam *t = *state;
	struct mail_claim c;
	struct buf plain;

	add(t, "ada@example.test");
	c = claim(t, &ann, NOW);
	buf_init(&plain, 1 << 16);
	c.mail.id.b[15] ^= 1;
	assert_int_not_equal(mail_open(t->seal, &c.mail, &plain), OK);
	assert_int_equal(plain.n, 0);
	buf_release(&plain);
}

static void a_write_that_fails_queues_nothing(void **state)
{
	struct iam *t = *state;
	struct write w;

	iam_begin(t, &w);
	add_letter(t, &w, "ada@example.test");
	WRITE1(&w, E_CONFLICT, "UPDATE user SET version = 2 WHERE id = ?", SV_ID(&ann));
	assert_int_equal(iam_commit(t, &w), E_CONFLICT);
	assert_int_equal(iam_count(t, "SELECT count(*) FROM mail"), 0);
}

static void an_address_that_is_none_is_refused(void **state)
{
	struct iam *t = *state;
	struct mail_templates *templates;
	struct letterhead h = { .seal = t->seal, .from = STR("gate@example.test"),
		.link_base = STR("https://ui.test") };
	struct letter l = { .kind = MAIL_VERIFY, .to = STR("a@b.test\r\nBcc: c@d.test"),
		.token = STR(TOKEN) };
	struct fail f = { 0 };
	struct write w;

	assert_ok(mail_templates_load(NULL, &templates, &f), &f);
	h.templates = templates;
	iam_begin(t, &w);
	assert_int_equal(letter_add(&w, &h, &l, &f), E_INVALID_FIELD);
	assert_int_equal(w.n, 0);
	l.to = STR("a@b.test");
	h.from = STR("nobody");
	assert_int_equal(letter_add(&w, &h, &l, &f), E_CONFIG);
	assert_null(strstr(f.text, TOKEN));
	mail_templates_free(templates);
}

static bool file_has(const char *dir, const char *name, const char *needle)
{
	char path[128];
	FILE *f;
	char *all;
	size_t n;
	bool found;

	snprintf(path, sizeof path, "%s/%s", dir, name);
	f = fopen(path, "r");
	if (f == NULL)
		return false;
	all = malloc(16 << 20);
	n = fread(all, 1, 16 << 20, f);
	fclose(f);
	found = memmem(all, n, needle, strlen(needle)) != NULL;
	free(all);
	return found;
}

static void no_token_is_in_the_file(void **state)
{
	struct iam *t = *state;

	add(t, "canary@example.test");
	assert_true(file_has(t->x.dir, "store.db-wal", "canary@example.test"));
	assert_false(file_has(t->x.dir, "store.db-wal", "SecretSecret"));
	store_close(t->x.store);
	t->x.store = NULL;
	assert_true(file_has(t->x.dir, "store.db", "canary@example.test"));
	assert_false(file_has(t->x.dir, "store.db", "SecretSecret"));
	fixture_reopen(&t->x);
}

/* ---- leases --------------------------------------------------------------------------------- */

static void a_claim_holds_until_its_lease_ends(void **state)
{
	struct iam *t = *state;
	struct mail_claim first, second;

	add(t, "ada@example.test");
	first = claim(t, &ann, NOW);
	assert_true(first.found);
	second = claim(t, &bob, NOW + LEASE - 1);
	assert_false(second.found);
	assert_true(second.next_at == NOW + LEASE);
	second = claim(t, &bob, NOW + LEASE);
	assert_true(second.found);
	assert_int_equal(second.mail.attempts, 2);
	/* the first is late: it changes nothing of the second's claim */
	assert_int_equal(mail_deferred(t->x.store, &ann, &first.mail, NOW, NOW, STR("late"), NULL), OK);
	assert_int_equal(mail_failed(t->x.store, &ann, &first.mail, NOW, STR("late"), NULL), OK);
	assert_false(claim(t, &ann, NOW + LEASE).found);
	assert_int_equal(iam_count(t, "SELECT count(*) FROM mail WHERE failed_at IS NULL"
	    " AND body IS NOT NULL AND last_error IS NULL"), 1);
	/* but when it was sent, nobody need send it */
	assert_int_equal(mail_sent(t->x.store, &first.mail, NOW, NULL), OK);
	assert_int_equal(iam_count(t, "SELECT count(*) FROM mail"), 0);
}

static void deferred_mail_comes_back_in_order(void **state)
{
	struct iam *t = *state;
	struct mail_claim c;

	add(t, "one@example.test");
	c = claim(t, &ann, NOW);
	assert_int_equal(mail_deferred(t->x.store, &ann, &c.mail, NOW, NOW + 20, STR("busy"), NULL),
	    OK);
	add(t, "two@example.test");
	c = claim(t, &ann, NOW + 10);
	assert_true(c.found && str_eq(c.mail.recipient, STR("two@example.test")));
	c = claim(t, &ann, NOW + 10);
	assert_true(!c.found && c.next_at == NOW + 20);
	c = claim(t, &bob, NOW + 20);
	assert_true(c.found && str_eq(c.mail.recipient, STR("one@example.test")));
	assert_int_equal(c.mail.attempts, 2);
}

static void failed_mail_is_kept_without_its_body_and_then_trimmed(void **state)
{
	struct iam *t = *state;
	struct mail_counts n;
	struct mail_claim c;

	add(t, "one@example.test");
	add(t, "two@example.test");
	c = claim(t, &ann, NOW);
	assert_int_equal(mail_failed(t->x.store, &ann, &c.mail, NOW + 5,
	    STR("550 no such user \xff"), NULL), OK);
	assert_int_equal(mail_count(t->x.store, &n, NULL), OK);
	assert_true(n.waiting == 1 && n.failed == 1);
	assert_int_equal(iam_count(t, "SELECT count(*) FROM mail WHERE failed_at IS NOT NULL"
	    " AND body IS NULL AND last_error = '550 no such user '"), 1);
	c = claim(t, &ann, NOW + LEASE * 1000);
	assert_true(c.found);
	assert_false(claim(t, &ann, NOW + LEASE * 1000).found);
	assert_int_equal(mail_trim(t->x.store, NOW, NOW + 5, NULL), OK);
	assert_int_equal(iam_count(t, "SELECT count(*) FROM mail"), 2);
	assert_int_equal(mail_trim(t->x.store, NOW, NOW + 6, NULL), OK);
	assert_int_equal(iam_count(t, "SELECT count(*) FROM mail"), 1);
}

static void back_off_doubles_within_its_limits(void **state)
{
	const struct mail_policy *p = &mail_policy_default;

	(void)state;
	assert_true(mail_backoff(p, 1, 0) == p->retry_min);
	assert_true(mail_backoff(p, 1, UINT32_MAX) == 2 * p->retry_min);
	assert_true(mail_backoff(p, 2, 0) == 2 * p->retry_min);
	assert_true(mail_backoff(p, 1000000, UINT32_MAX) == p->retry_max);
	for (int64_t n = 0; n < 40; n++)
		for (uint32_t dice = 0; dice < UINT32_MAX - (1u << 28); dice += 1u << 28) {
			int64_t us = mail_backoff(p, n, dice);

			assert_true(us >= p->retry_min && us <= p->retry_max);
			assert_true(n < 2 || us >= mail_backoff(p, n - 1, 0));
		}
}

/* ---- races ---------------------------------------------------------------------------------- */

#define RACERS 8
#define MAILS 60

struct race {
	struct iam *t;
	int claimed[RACERS];
	struct id ids[RACERS][MAILS];
};

static void claim_all(void *arg, int i)
{
	struct race *r = arg;
	struct id who = { { 10, (uint8_t)i } };
	struct mail_claim c;
	struct arena a;

	arena_init(&a, 4 << 20);
	do {
		arena_clear(&a);
		if (mail_claim(r->t->x.store, &who, NOW, LEASE, &a, &c, NULL) != OK)
			break;
		if (c.found && r->claimed[i] < MAILS)
			r->ids[i][r->claimed[i]++] = c.mail.id;
	} while (c.found || c.next_at <= NOW);
	arena_release(&a);
}

static void each_mail_is_claimed_by_one(void **state)
{
	struct race *r = calloc(1, sizeof *r);
	int total = 0;

	r->t = *state;
	for (int i = 0; i < MAILS; i++)
		add(*state, "ada@example.test");
	iam_together(RACERS, claim_all, r);
	for (int i = 0; i < RACERS; i++) {
		total += r->claimed[i];
		for (int k = 0; k < r->claimed[i]; k++)
			for (int j = 0; j <= i; j++)
				for (int l = 0; l < (j < i ? r->claimed[j] : k); l++)
					assert_false(id_eq(r->ids[i][k], r->ids[j][l]));
	}
	assert_int_equal(total, MAILS);
	free(r);
}

static void claim_one(void *arg, int i)
{
	struct race *r = arg;
	struct id who = { { 10, (uint8_t)i } };
	struct mail_claim c;
	struct arena a;

	arena_init(&a, 1 << 20);
	if (mail_claim(r->t->x.store, &who, NOW, LEASE, &a, &c, NULL) == OK)
		r->claimed[i] += c.found;
	arena_release(&a);
}

static void one_of_many_claims_wins(void **state)
{
	struct race *r = calloc(1, sizeof *r);
	int total = 0;

	r->t = *state;
	for (int round = 1; round <= 100; round++) {
		add(*state, "ada@example.test");
		iam_together(RACERS, claim_one, r);
		total = 0;
		for (int i = 0; i < RACERS; i++)
			total += r->claimed[i];
		assert_int_equal(total, round);
	}
	free(r);
}

/* ---- kill -9 -------------------------------------------------------------------------------- */

enum step { BEFORE_CLAIM, AFTER_CLAIM, AFTER_SENDING, AFTER_DELETION, STEPS };

/* A sender that dies at `at`; what it "sends" goes into the pipe. */
static void send_and_die(const char *url, enum step at, int pipe_fd)
{
	struct store_config sc = { .url = url };
	struct mail_claim c;
	struct store *s;
	struct arena a;

	arena_init(&a, 1 << 20);
	if (store_open(&s, &sc, NULL) != OK)
		_exit(1);
	if (at == BEFORE_CLAIM)
		raise(SIGKILL);
	if (mail_claim(s, &ann, NOW, LEASE, &a, &c, NULL) != OK || !c.found)
		_exit(2);
	if (at == AFTER_CLAIM)
		raise(SIGKILL);
	if (write(pipe_fd, c.mail.id.b, 16) != 16)
		_exit(3);
	if (at == AFTER_SENDING)
		raise(SIGKILL);
	if (mail_sent(s, &c.mail, NOW, NULL) != OK)
		_exit(4);
	raise(SIGKILL);
}

/* How often the mail was sent before the sender was killed at `at`. */
static int sent_before_death(struct iam *t, enum step at)
{
	int fds[2], status = 0;
	unsigned char id[32];
	ssize_t n;
	pid_t pid;

	store_close(t->x.store);
	t->x.store = NULL;
	assert_int_equal(pipe(fds), 0);
	pid = fork();
	if (pid == 0)
		send_and_die(t->x.url, at, fds[1]);
	close(fds[1]);
	waitpid(pid, &status, 0);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	n = read(fds[0], id, sizeof id);
	close(fds[0]);
	fixture_reopen(&t->x);
	return (int)(n / 16);
}

static void a_kill_loses_nothing(void **state)
{
	/* sent before the kill, sent again after the lease */
	static const int want[STEPS][2] = { [BEFORE_CLAIM] = { 0, 1 }, [AFTER_CLAIM] = { 0, 1 },
		[AFTER_SENDING] = { 1, 1 }, [AFTER_DELETION] = { 1, 0 } };
	struct iam *t = *state;

	for (enum step at = 0; at < STEPS; at++) {
		struct mail_claim c;

		add(t, "ada@example.test");
		assert_int_equal(sent_before_death(t, at), want[at][0]);
		c = claim(t, &bob, NOW);
		if (at != BEFORE_CLAIM) {
			assert_false(c.found); /* not before the lease has ended */
			c = claim(t, &bob, NOW + LEASE);
		}
		assert_int_equal(c.found, want[at][1]);
		if (c.found)
			assert_int_equal(mail_sent(t->x.store, &c.mail, NOW, NULL), OK);
		assert_int_equal(iam_count(t, "SELECT count(*) FROM mail"), 0);
	}
}

/* ---- a store that fails --------------------------------------------------------------------- */

static void a_failing_store_claims_nothing(void **state)
{
	struct iam *t = *state;
	struct mail_claim c;

	add(t, "ada@example.test");
	for (long n = 1; n <= 2; n++) {
		store_fail_after(t->x.store, n);
		assert_int_equal(mail_claim(t->x.store, &ann, NOW, LEASE, &t->x.arena, &c, NULL),
		    E_STORE_UNAVAILABLE);
		assert_false(c.found);
		assert_true(store_fail_after(t->x.store, 0));
	}
	assert_true(claim(t, &ann, NOW).found);
}

/* Whichever allocation fails, the write is whole or is not made. */
static void without_memory_nothing_is_half_queued(void **state)
{
	struct iam *t = *state;
	struct mail_templates *templates;
	struct letterhead h = { .seal = t->seal, .from = STR("Gate <gate@example.test>"),
		.link_base = STR("https://ui.test/reset") };
	struct letter l = { .kind = MAIL_RESET, .to = STR("ada@example.test"), .token = STR(TOKEN) };
	int failed = 0;

	assert_int_equal(mail_templates_load(NULL, &templates, NULL), OK);
	h.templates = templates;
	for (long n = 1;; n++) {
		struct arena a;
		struct write w;
		enum err e;

		arena_init(&a, 1 << 20);
		write_init(&w, &a, NOW);
		heap_fail_after(n);
		e = letter_add(&w, &h, &l, NULL);
		if (e == OK)
			e = w.err;
		if (!heap_fail_after(0)) {
			assert_int_equal(e, OK);
			assert_int_equal(w.n, 1);
			arena_release(&a);
			break;
		}
		failed++;
		assert_int_equal(e, E_NOMEM);
		assert_int_equal(w.n, 0);
		arena_release(&a);
	}
	assert_true(failed > 5);
	mail_templates_free(templates);
}

#define T(f) cmocka_unit_test_setup_teardown(f, iam_setup, iam_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_letter_is_queued_and_claimed),
		T(a_body_opens_in_no_other_row),
		T(a_write_that_fails_queues_nothing),
		T(an_address_that_is_none_is_refused),
		T(no_token_is_in_the_file),
		T(a_claim_holds_until_its_lease_ends),
		T(deferred_mail_comes_back_in_order),
		T(failed_mail_is_kept_without_its_body_and_then_trimmed),
		cmocka_unit_test(back_off_doubles_within_its_limits),
		T(each_mail_is_claimed_by_one),
		T(one_of_many_claims_wins),
		T(a_kill_loses_nothing),
		T(a_failing_store_claims_nothing),
		T(without_memory_nothing_is_half_queued),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
