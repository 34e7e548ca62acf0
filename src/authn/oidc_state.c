#include "authn/oidc_state.h"

#include <string.h>

#include "base/hex.h"
#include "base/jsonr.h"
#include "base/jsonw.h"
#include "base/rnd.h"
#include "base/secret.h"
#include "crypto/digest.h"
#include "crypto/seal.h"

#define AD STR("oidc_state")
#define PLAIN_MAX 4096

static void make_token(char out[OIDC_STATE_TOKEN])
{
	unsigned char random[32];

	rnd_bytes(random, sizeof random);
	out[b64u_encode(random, sizeof random, out)] = '\0';
	secret_wipe(random, sizeof random);
}

void oidc_state_make(struct oidc_state *s)
{
	make_token(s->state);
	make_token(s->nonce);
	make_token(s->verifier);
	make_token(s->finish);
}

void oidc_state_wipe(struct oidc_state *s)
{
	secret_wipe(s, sizeof *s);
}

void oidc_state_challenge(const struct oidc_state *s, char out[OIDC_STATE_TOKEN])
{
	unsigned char digest[SHA256_LEN];

	digest_sha256(str_c(s->verifier), digest);
	out[b64u_encode(digest, sizeof digest, out)] = '\0';
}

/* ---- sealed ---------------------------------------------------------------------------------- */

static void write_plain(const struct oidc_state *s, struct buf *out)
{
	struct jsonw w = jsonw_on(out);

	jsonw_obj(&w);
	jsonw_kz(&w, "state", s->state);
	jsonw_kz(&w, "nonce", s->nonce);
	jsonw_kz(&w, "verifier", s->verifier);
	jsonw_kz(&w, "finish", s->finish);
	jsonw_kstr(&w, "issuer", s->issuer);
	jsonw_kint(&w, "begun_at", s->begun_at);
	if (s->return_to.p != NULL)
		jsonw_kstr(&w, "return_to", s->return_to);
	if (s->link) {
		jsonw_kid(&w, "user", s->user);
		jsonw_kid(&w, "session", s->session);
	}
	jsonw_obj_end(&w);
}

enum err oidc_state_seal(const struct oidc_state *s, const struct seal *seal, struct buf *out)
{
	struct buf plain, sealed;
	enum err e;

	buf_init_secret(&plain, PLAIN_MAX);
	buf_init(&sealed, PLAIN_MAX + 64);
	write_plain(s, &plain);
	e = buf_err(&plain);
	if (e == OK)
		e = seal_close(seal, AD, buf_str(&plain), &sealed);
	if (e == OK)
		e = buf_reserve(out, B64U_LEN(sealed.n));
	if (e == OK)
		out->n += b64u_encode(sealed.p, sealed.n, out->p + out->n);
	buf_release(&plain);
	buf_release(&sealed);
	return e;
}

/* ---- opened ---------------------------------------------------------------------------------- */

static bool read_token(struct jsonr *r, char out[OIDC_STATE_TOKEN])
{
	struct str s;

	if (!jsonr_str(r, &s) || s.n != OIDC_STATE_TOKEN - 1)
		return false;
	memcpy(out, s.p, s.n);
	out[s.n] = '\0';
	return true;
}

static bool read_str(struct jsonr *r, struct arena *a, struct str *out)
{
	struct str s;

	if (!jsonr_str(r, &s))
		return false;
	*out = arena_str(a, s);
	return out->p != NULL;
}

static bool read_id(struct jsonr *r, struct id *out)
{
	struct str s;

	return jsonr_str(r, &s) && id_parse(s, out);
}

static bool read_member(struct jsonr *r, struct str name, struct arena *a, struct oidc_state *out)
{
	if (str_eq(name, STR("state")))
		return read_token(r, out->state);
	if (str_eq(name, STR("nonce")))
		return read_token(r, out->nonce);
	if (str_eq(name, STR("verifier")))
		return read_token(r, out->verifier);
	if (str_eq(name, STR("finish")))
		return read_token(r, out->finish);
	if (str_eq(name, STR("issuer")))
		return read_str(r, a, &out->issuer);
	if (str_eq(name, STR("return_to")))
		return read_str(r, a, &out->return_to);
	if (str_eq(name, STR("begun_at")))
		return jsonr_int(r, &out->begun_at);
	out->link = true;
	return read_id(r, str_eq(name, STR("user")) ? &out->user : &out->session);
}

/* Only what write_plain wrote ever opens, so nothing is missing and nothing is there twice. */
static bool read_plain(struct buf *plain, struct arena *a, struct oidc_state *out)
{
	struct jsonr r = jsonr_on(plain->p, plain->n);
	struct str name;

	if (!jsonr_obj(&r))
		return false;
	while (jsonr_member(&r, &name))
		if (!read_member(&r, name, a, out))
			return false;
	return jsonr_done(&r);
}

enum err oidc_state_open(struct str cookie, const struct seal *seal, int64_t now, struct arena *a,
    struct oidc_state *out)
{
	char sealed[PLAIN_MAX + 64];
	struct buf plain;
	size_t n = 0;
	bool ok;

	*out = (struct oidc_state){ 0 };
	buf_init_secret(&plain, PLAIN_MAX);
	ok = b64u_decode(cookie, sealed, sizeof sealed, &n) &&
	    seal_open(seal, AD, str_n(sealed, n), &plain) == OK && read_plain(&plain, a, out) &&
	    now >= out->begun_at - OIDC_STATE_SKEW && now < out->begun_at + OIDC_STATE_LIFE;
	buf_release(&plain);
	return ok ? OK : E_OIDC_STATE;
}
