/* API keys of service accounts as Bearer credentials (CONTRACT 4, class 3). */
#include "authn/machine.h"
#include "crypto/api_key.h"
#include "crypto/jwt.h"

static bool presented(struct attempt *t, enum auth_scheme scheme)
{
	return scheme == AUTH_SCHEME_BEARER && api_key_looks_like(t->credential);
}

static enum err ask(struct store *s, struct machine *m, int64_t now)
{
	return credential_check_key(s, m->key.id, m->key.hash, now, &m->proof, NULL);
}

static enum err check(struct attempt *t)
{
	struct machine *m = attempt_alloc(t, sizeof *m);

	if (m == NULL)
		return E_NOMEM;
	m->amr = JWT_AMR_SECRET;
	m->ask = ask;
	if (api_key_parse(t->credential, &m->key.id, m->key.hash) != OK)
		return attempt_refuse(t, OBS_AUTH_MALFORMED);
	return machine_check(t, m);
}

const struct authn_class class_api_key = { AUTH_API_KEY, presented, check };
