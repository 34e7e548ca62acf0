#include "authn/machine.h"

/* A token says neither that somebody has signed in just now, nor more than it lasts. */
static void limit(struct attempt *t, const struct machine *m)
{
	if (m->until == 0)
		return;
	t->who.auth_time = 0;
	if (t->who.expires_at == 0 || m->until < t->who.expires_at)
		t->who.expires_at = m->until;
}

static enum err ask_work(struct attempt *t)
{
	struct machine *m = t->data;

	return m->ask(authn_config(t->a)->store, m, m->now);
}

static enum err ask_finish(struct attempt *t, enum err e)
{
	const struct machine *m = t->data;
	int64_t until = m->now + CREDENTIAL_USE_NOTED_US;

	if (e != OK && (m->key.method == AUTH_CERTIFICATE || m->key.method == AUTH_EXTERNAL_JWT))
		return e; /* not guessed: its authority or issuer has vouched for it */
	if (e != OK)
		return attempt_slow(t, e);
	t->who = (struct identity){ .principal = m->proof.service_account, .amr = m->amr,
		.auth_time = m->now, .expires_at = m->proof.expires_at };
	if (m->proof.expires_at != 0 && m->proof.expires_at < until)
		until = m->proof.expires_at;
	if (!m->user)
		proof_cache_add(authn_proofs(t->a), &m->key, &t->who, until, m->generation);
	limit(t, m);
	return OK;
}

enum err machine_check(struct attempt *t, struct machine *m)
{
	const struct identity *known;

	m->now = loop_wall(authn_config(t->a)->loop);
	m->key.method = t->class->method;
	known = proof_cache_find(authn_proofs(t->a), &m->key, m->now);
	if (known != NULL) {
		t->who = *known;
		limit(t, m);
		return OK;
	}
	m->generation = authn_proofs(t->a)->generation;
	t->data = m;
	t->work = ask_work;
	t->finish = ask_finish;
	return attempt_to_lane(t);
}
