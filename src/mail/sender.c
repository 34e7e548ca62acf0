#include "mail/sender.h"

#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/heap.h"
#include "base/log.h"
#include "base/rnd.h"
#include "base/thread.h"
#include "crypto/seal.h"
#include "mail/message.h"
#include "mail/queue.h"
#include "mail/transport.h"
#include "obs/obs.h"

#define ARENA_MAX (1u << 20)
#define TRIM_EVERY (3600 * CLOCK_SEC)
#define SETTLE_RETRY CLOCK_SEC

enum ending { END_SENT, END_DEFERRED, END_FAILED, END__COUNT };
static const char *const ending_names[END__COUNT] = { "sent", "deferred", "failed" };

struct mail_sender {
	struct mail_sender_config c;
	const struct mail_policy *policy;
	struct mail_transport *transport;
	pthread_t thread;
	/* any thread */
	atomic_uint_fast64_t ended[END__COUNT];
	atomic_int_fast64_t waiting;
	pthread_mutex_t lock; /* what follows */
	pthread_cond_t wake;
	bool poked, stopping;
	/* the thread's own */
	struct arena arena;
	int64_t rest_until; /* monotonic: the server could not be reached */
	int64_t trimmed_at; /* wall */
	bool store_failed;  /* said so in the log */
};

/* ---- waiting ------------------------------------------------------------------------------- */

static bool stopping(struct mail_sender *s)
{
	bool b;

	pthread_mutex_lock(&s->lock);
	b = s->stopping;
	pthread_mutex_unlock(&s->lock);
	return b;
}

/* Until the time (monotonic), a poke, or the stop; a poke does not cut a rest short. False: stop. */
static bool wait_until(struct mail_sender *s, int64_t at)
{
	int rc = 0;
	bool go_on;

	pthread_mutex_lock(&s->lock);
	while (!s->stopping && rc == 0) {
		int64_t end = s->poked && s->rest_until < at ? s->rest_until : at;
		struct timespec t = { end / CLOCK_SEC, end % CLOCK_SEC * 1000 };

		if (clock_mono() >= end)
			break;
		rc = pthread_cond_clockwait(&s->wake, &s->lock, CLOCK_MONOTONIC, &t);
	}
	s->poked = false;
	go_on = !s->stopping;
	pthread_mutex_unlock(&s->lock);
	return go_on;
}

/* The moment of `wall`, or that of the next poll when it is sooner, as monotonic time. */
static int64_t wake_at(const struct mail_sender *s, int64_t wall)
{
	int64_t now = clock_wall(), in = s->policy->poll;

	if (wall < now + in)
		in = wall > now ? wall - now : 0;
	return clock_mono() + in;
}

/* ---- the store's moods --------------------------------------------------------------------- */

/* Says once that the store fails, and once that it works again. */
static bool store_ok(struct mail_sender *s, enum err e, struct fail *f)
{
	if (e != OK && !s->store_failed)
		log_fail("the mail queue can't be reached", f);
	else if (e == OK && s->store_failed)
		log_info("the mail queue can be reached again");
	s->store_failed = e != OK;
	fail_clear(f);
	return e == OK;
}

/* ---- one mail ------------------------------------------------------------------------------ */

static enum err write_ending(struct mail_sender *s, enum ending end, const struct mail *m,
    int64_t next_at, struct str why, struct fail *f)
{
	int64_t now = clock_wall();

	if (end == END_SENT)
		return mail_sent(s->c.store, m, now, f);
	if (end == END_FAILED)
		return mail_failed(s->c.store, &s->c.replica, m, now, why, f);
	return mail_deferred(s->c.store, &s->c.replica, m, now, next_at, why, f);
}

/* Until it is written: a mail that was sent and is not deleted would be sent again. At the stop it is
 * tried once more. */
static void settle(struct mail_sender *s, enum ending end, const struct mail *m, int64_t next_at,
    struct str why)
{
	struct fail f = { 0 };

	while (!store_ok(s, write_ending(s, end, m, next_at, why, &f), &f))
		if (!wait_until(s, clock_mono() + SETTLE_RETRY)) {
			(void)write_ending(s, end, m, next_at, why, NULL);
			break;
		}
	atomic_fetch_add_explicit(&s->ended[end], 1, memory_order_relaxed);
}

static void log_ending(enum ending end, const struct mail *m, struct str why)
{
	char id[ID_TEXT_LEN];

	id_text(m->id, id);
	if (end == END_SENT)
		log_info("mail sent", LOG_Z("mail", id), LOG_S("kind", m->kind),
		    LOG_I("attempt", m->attempts));
	else
		log_at(end == END_FAILED ? LOG_ERROR : LOG_WARN,
		    end == END_FAILED ? "mail given up" : "mail deferred", LOG_Z("mail", id),
		    LOG_S("kind", m->kind), LOG_I("attempt", m->attempts), LOG_S("reason", why));
}

static enum ending ending_of(const struct mail_sender *s, enum mail_outcome o, const struct mail *m,
    int64_t now)
{
	if (o == MAIL_SENT)
		return END_SENT;
	if (o == MAIL_REFUSED || now - m->created_at >= s->policy->give_up)
		return END_FAILED;
	return END_DEFERRED;
}

static enum mail_outcome send_one(struct mail_sender *s, const struct mail *m, struct fail *why)
{
	struct mail_envelope env = { .id = m->id, .sender = m->sender, .recipient = m->recipient };
	enum mail_outcome o = MAIL_DEFERRED;
	struct buf plain;

	buf_init_secret(&plain, MESSAGE_MAX);
	if (buf_reserve(&plain, m->body.n) != OK) {
		fail_set(why, E_NOMEM, "no memory for a mail");
	} else if (mail_open(s->c.seal, m, &plain) != OK) {
		/* not given up: another replica may have the right key */
		fail_set(why, E_INTERNAL, "it was sealed under another master key");
	} else {
		env.message = buf_str(&plain);
		o = mail_transport_send(s->transport, &env, why);
	}
	buf_release(&plain);
	return o;
}

/* False: nothing else can be sent now either. */
static bool deliver(struct mail_sender *s, const struct mail *m)
{
	struct fail why = { 0 };
	enum mail_outcome o = send_one(s, m, &why);
	struct str reason = str_c(o == MAIL_SENT ? "" : fail_text(&why));
	int64_t now = clock_wall(), next_at;
	enum ending end = ending_of(s, o, m, now);
	uint32_t dice;

	rnd_bytes(&dice, sizeof dice);
	next_at = stopping(s) ? now : now + mail_backoff(s->policy, m->attempts, dice);
	log_ending(end, m, reason);
	settle(s, end, m, next_at, reason);
	if (o == MAIL_UNREACHABLE)
		s->rest_until = clock_mono() + s->policy->retry_min;
	return o != MAIL_UNREACHABLE;
}

/* ---- the thread ---------------------------------------------------------------------------- */

/* Sends what is due. Returns when to look again (monotonic). */
static int64_t send_due(struct mail_sender *s)
{
	struct mail_claim c;
	struct fail f = { 0 };

	while (!stopping(s)) {
		enum err e;

		arena_clear(&s->arena);
		e = mail_claim(s->c.store, &s->c.replica, clock_wall(), s->policy->lease, &s->arena, &c,
		    &f);
		if (!store_ok(s, e, &f))
			return clock_mono() + s->policy->poll;
		if (!c.found)
			return wake_at(s, c.next_at);
		if (!deliver(s, &c.mail))
			return s->rest_until;
	}
	return clock_mono();
}

static void look_after(struct mail_sender *s)
{
	struct mail_counts n;
	int64_t now = clock_wall();

	if (mail_count(s->c.store, &n, NULL) == OK)
		atomic_store_explicit(&s->waiting, n.waiting, memory_order_relaxed);
	if (now - s->trimmed_at < TRIM_EVERY)
		return;
	if (mail_trim(s->c.store, now, now - s->policy->keep, NULL) == OK)
		s->trimmed_at = now;
}

static void *sender_thread(void *arg)
{
	struct mail_sender *s = arg;
	int64_t next;

	do {
		next = send_due(s);
		if (!stopping(s))
			look_after(s);
	} while (wait_until(s, next));
	return NULL;
}

enum err mail_sender_start(const struct mail_sender_config *c, struct mail_transport *transport,
    struct mail_sender **out, struct fail *f)
{
	struct mail_sender *s = heap_zalloc(sizeof *s);

	if (s == NULL) {
		mail_transport_free(transport);
		return fail_set(f, E_NOMEM, "no memory for the mail sender");
	}
	s->c = *c;
	s->policy = c->policy != NULL ? c->policy : &mail_policy_default;
	s->transport = transport;
	arena_init(&s->arena, ARENA_MAX);
	pthread_mutex_init(&s->lock, NULL);
	pthread_cond_init(&s->wake, NULL);
	if (thread_start(&s->thread, "mail", sender_thread, s) != OK) {
		pthread_mutex_destroy(&s->lock);
		pthread_cond_destroy(&s->wake);
		mail_transport_free(transport);
		heap_free(s);
		return fail_set(f, E_NOMEM, "the thread that sends mail could not be started");
	}
	*out = s;
	return OK;
}

void mail_sender_stop(struct mail_sender *s)
{
	if (s == NULL)
		return;
	mail_transport_stop(s->transport);
	pthread_mutex_lock(&s->lock);
	s->stopping = true;
	pthread_cond_broadcast(&s->wake);
	pthread_mutex_unlock(&s->lock);
	pthread_join(s->thread, NULL);
	arena_release(&s->arena);
	mail_transport_free(s->transport);
	pthread_mutex_destroy(&s->lock);
	pthread_cond_destroy(&s->wake);
	heap_free(s);
}

void mail_sender_poke(struct mail_sender *s)
{
	if (s == NULL)
		return;
	pthread_mutex_lock(&s->lock);
	s->poked = true;
	pthread_cond_signal(&s->wake);
	pthread_mutex_unlock(&s->lock);
}

void mail_sender_write_metrics(struct mail_sender *s, struct buf *out)
{
	obs_family(out, "gateway_mail_queue");
	buf_printf(out, "gateway_mail_queue %lld\n", (long long)atomic_load(&s->waiting));
	obs_family(out, "gateway_mail_sent_total");
	for (int i = 0; i < END__COUNT; i++)
		buf_printf(out, "gateway_mail_sent_total{outcome=\"%s\"} %llu\n", ending_names[i],
		    (unsigned long long)atomic_load(&s->ended[i]));
}
