#include "authn/machine.h"

static enum err ask_work(struct attempt *t)
{
	struct machine *m = t->data;

	return m->ask(authn_config(t->a)->store, m, m->now);
}

static enum err ask_finish(struct attempt *t, enum err e)
{
	const struct machine *m = t->data;
	int64_t until = m->now + CREDENTIAL_USE_NOTED_US;

	if (e != OK) /* a certificate is not guessed: its authority has vouched for it */
		return m->key.method == AUTH_CERTIFICATE ? e : attempt_slow(t, e);
	t->who = (struct identity){ .principal = m->proof.service_account, .amr = m->amr,
		.auth_time = m->now, .expires_at = m->proof.expires_at };
	if (m->proof.expires_at != 0 && m->proof.expires_at < until)
		until = m->proof.expires_at;
	proof_cache_add(authn_proofs(t->a), &m->key, &t->who, until, m->generation);
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
		return OK;
	}
	m->generation = authn_proofs(t->a)->generation;
	t->data = m;
	t->work = ask_work;
	t->finish = ask_finish;
	return attempt_to_lane(t);
}
