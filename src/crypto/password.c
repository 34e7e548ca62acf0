#include "crypto/password.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <argon2.h>
#include <libscrypt.h>
#include <sodium.h>
#include <uninorm.h>
#include <unistr.h>

#include "base/buf.h"
#include "base/config.h"
#include "base/hex.h"
#include "base/rnd.h"
#include "base/secret.h"

enum {
	SALT = 16,
	HASH = 32,
	BYTES_MAX = 64, /* of a salt or a hash that is imported */
	PASSES_MAX = 64,
	LANES_MAX = 64,
};
#define MEMORY_KIB_MAX (UINT32_C(4) << 20)

/* A stored hash, taken apart. */
struct parsed {
	enum { ARGON2, SCRYPT } kind;
	argon2_type type;
	uint32_t version;
	struct password_params p; /* Argon2 */
	uint32_t ln, r, lanes;    /* scrypt: N = 2^ln */
	unsigned char salt[BYTES_MAX], hash[BYTES_MAX];
	size_t salt_len, hash_len;
};

/* ---- the functions themselves ---- */

/* libsodium knows one lane and 16 bytes of salt, and is a third faster there: it picks the widest
 * SIMD that the machine has, Debian's libargon2 none. Both give the same bytes. */
static bool sodium_can(const struct parsed *h)
{
	return h->type == Argon2_id && h->version == ARGON2_VERSION_13 && h->p.parallelism == 1 &&
	    h->salt_len == crypto_pwhash_argon2id_SALTBYTES &&
	    h->hash_len >= crypto_pwhash_argon2id_BYTES_MIN;
}

static enum err run_argon2(struct str password, const struct parsed *h, unsigned char *out)
{
	argon2_context c = {
		.out = out, .outlen = (uint32_t)h->hash_len,
		.pwd = (uint8_t *)(uintptr_t)password.p, .pwdlen = (uint32_t)password.n,
		.salt = (uint8_t *)(uintptr_t)h->salt, .saltlen = (uint32_t)h->salt_len,
		.t_cost = h->p.iterations, .m_cost = h->p.memory_kib,
		.lanes = h->p.parallelism, .threads = h->p.parallelism, .version = h->version,
	};
	int rc;

	if (sodium_init() >= 0 && sodium_can(h))
		return crypto_pwhash_argon2id(out, h->hash_len, password.p, password.n, h->salt,
		           h->p.iterations, (size_t)h->p.memory_kib * 1024,
		           crypto_pwhash_argon2id_ALG_ARGON2ID13) == 0 ? OK : E_NOMEM;
	rc = argon2_ctx(&c, h->type);
	return rc == ARGON2_OK ? OK :
	    rc == ARGON2_MEMORY_ALLOCATION_ERROR || rc == ARGON2_THREAD_FAIL ? E_NOMEM : E_INTERNAL;
}

static enum err run_scrypt(struct str password, const struct parsed *h, unsigned char *out)
{
	return libscrypt_scrypt((const uint8_t *)password.p, password.n, h->salt, h->salt_len,
	           UINT64_C(1) << h->ln, h->r, h->lanes, out, h->hash_len) == 0 ? OK : E_NOMEM;
}

/* ---- stored hashes as text ---- */

/* Base64 of the standard alphabet, with padding or without, 1 to BYTES_MAX bytes. */
static bool unbase64(struct str s, unsigned char *out, size_t *n)
{
	char t[B64_LEN(BYTES_MAX)];

	while (s.n > 0 && s.p[s.n - 1] == '=')
		s.n--;
	if (s.n == 0 || s.n > sizeof t)
		return false;
	memcpy(t, s.p, s.n);
	memset(t + s.n, '=', sizeof t - s.n);
	return b64_decode(str_n(t, (s.n + 3) / 4 * 4), out, BYTES_MAX, n);
}

/* "m=19456" against the key 'm': the number, at most max. */
static bool param(struct str s, const char *key, uint32_t max, uint32_t *out)
{
	struct str k = str_c(key);
	uint64_t v;

	if (!str_starts(s, k) || !str_u64(str_skip(s, k.n), max, &v) || v == 0)
		return false;
	*out = (uint32_t)v;
	return true;
}

/* Three parameters, comma-separated, in this order. */
static bool params3(struct str s, const char *const key[3], const uint32_t max[3],
    uint32_t *const out[3])
{
	for (int i = 0; i < 3; i++)
		if (!param(str_cut(s, ',', &s), key[i], max[i], out[i]))
			return false;
	return s.p == NULL;
}

static bool salt_and_hash(struct str s, struct parsed *h)
{
	struct str salt = str_cut(s, '$', &s);

	return unbase64(salt, h->salt, &h->salt_len) && unbase64(s, h->hash, &h->hash_len);
}

/* [v=19$]m=..,t=..,p=..$salt$hash */
static bool parse_argon2(struct str s, struct parsed *h)
{
	static const char *const key[3] = { "m=", "t=", "p=" };
	static const uint32_t max[3] = { MEMORY_KIB_MAX, PASSES_MAX, LANES_MAX };

	h->kind = ARGON2;
	h->version = ARGON2_VERSION_10; /* before there was a version in the string */
	if (str_starts(s, STR("v=")) &&
	    (!param(str_cut(s, '$', &s), "v=", ARGON2_VERSION_13, &h->version) ||
	     (h->version != ARGON2_VERSION_13 && h->version != ARGON2_VERSION_10)))
		return false;
	return params3(str_cut(s, '$', &s), key, max,
	           (uint32_t *const[]){ &h->p.memory_kib, &h->p.iterations, &h->p.parallelism }) &&
	    salt_and_hash(s, h) && h->salt_len >= 8 && h->hash_len >= 4 &&
	    h->p.memory_kib >= 8 * h->p.parallelism;
}

/* libscrypt allocates 128 r (N + p) bytes: no more than 1 GiB of it, and bounded work. */
static bool scrypt_bounded(const struct parsed *h)
{
	return h->ln <= 24 && h->r > 0 && h->lanes > 0 &&
	    (UINT64_C(128) * h->r << h->ln) <= UINT64_C(1) << 30 &&
	    h->hash_len >= 16 && h->lanes <= 16;
}

/* ln=..,r=..,p=..$salt$hash */
static bool parse_scrypt_phc(struct str s, struct parsed *h)
{
	static const char *const key[3] = { "ln=", "r=", "p=" };
	static const uint32_t max[3] = { 24, 255, 16 };

	h->kind = SCRYPT;
	return params3(str_cut(s, '$', &s), key, max,
	           (uint32_t *const[]){ &h->ln, &h->r, &h->lanes }) &&
	    salt_and_hash(s, h) && scrypt_bounded(h);
}

/* ln, r and p as one hexadecimal number, NNrrpp: libscrypt's $s1$ has all six digits, the older $s0$
 * no leading zeros. */
static bool parse_scrypt_hex(struct str s, struct parsed *h)
{
	struct str digits = str_cut(s, '$', &s);
	char six[6] = "000000";
	uint8_t b[3];

	h->kind = SCRYPT;
	if (digits.n == 0 || digits.n > sizeof six)
		return false;
	memcpy(six + sizeof six - digits.n, digits.p, digits.n);
	if (!hex_decode(str_n(six, sizeof six), b))
		return false;
	h->ln = b[0];
	h->r = b[1];
	h->lanes = b[2];
	return salt_and_hash(s, h) && scrypt_bounded(h);
}

static bool parse(struct str phc, struct parsed *h)
{
	static const struct {
		struct str prefix;
		bool (*parse)(struct str rest, struct parsed *h);
		argon2_type type;
	} forms[] = {
		{ STR("$argon2id$"), parse_argon2, Argon2_id },
		{ STR("$argon2i$"), parse_argon2, Argon2_i },
		{ STR("$argon2d$"), parse_argon2, Argon2_d },
		{ STR("$scrypt$"), parse_scrypt_phc, 0 },
		{ STR("$s1$"), parse_scrypt_hex, 0 },
		{ STR("$s0$"), parse_scrypt_hex, 0 },
	};

	for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
		if (!str_starts(phc, forms[i].prefix))
			continue;
		*h = (struct parsed){ .type = forms[i].type };
		return forms[i].parse(str_skip(phc, forms[i].prefix.n), h);
	}
	return false;
}

static bool is_weaker(const struct parsed *h, const struct password_params *want)
{
	return h->kind != ARGON2 || h->type != Argon2_id || h->version != ARGON2_VERSION_13 ||
	    h->salt_len < SALT || h->hash_len < HASH || h->p.memory_kib < want->memory_kib ||
	    h->p.iterations < want->iterations || h->p.parallelism < want->parallelism;
}

/* ---- what others call ---- */

struct password_params password_params_of(const struct config *c)
{
	return (struct password_params){ .memory_kib = (uint32_t)c->auth_argon2_memory_kib,
		.iterations = (uint32_t)c->auth_argon2_iterations,
		.parallelism = (uint32_t)c->auth_argon2_parallelism };
}

static size_t put_base64(char *out, const unsigned char *p, size_t n)
{
	size_t k = b64_encode(p, n, out);

	while (k > 0 && out[k - 1] == '=')
		k--;
	return k;
}

enum err password_hash(struct str password, const struct password_params *p,
    const unsigned char salt[16], char phc[PASSWORD_PHC_LEN])
{
	struct parsed h = { .type = Argon2_id, .version = ARGON2_VERSION_13, .p = *p,
		.salt_len = SALT, .hash_len = HASH };
	enum err e;
	size_t n;

	memcpy(h.salt, salt, SALT);
	e = run_argon2(password, &h, h.hash);
	if (e != OK)
		return e;
	n = (size_t)snprintf(phc, PASSWORD_PHC_LEN, "$argon2id$v=19$m=%u,t=%u,p=%u$", p->memory_kib,
	    p->iterations, p->parallelism);
	n += put_base64(phc + n, h.salt, SALT);
	phc[n++] = '$';
	n += put_base64(phc + n, h.hash, HASH);
	phc[n] = '\0';
	secret_wipe(&h, sizeof h);
	return OK;
}

enum err password_verify(struct str password, struct str phc, const struct password_params *want,
    bool *weaker)
{
	unsigned char out[BYTES_MAX];
	struct parsed h;
	enum err e;

	if (!parse(phc, &h))
		return E_INTERNAL;
	e = h.kind == SCRYPT ? run_scrypt(password, &h, out) : run_argon2(password, &h, out);
	if (e == OK && !secret_eq(str_n((char *)out, h.hash_len), str_n((char *)h.hash, h.hash_len)))
		e = E_INVALID_CREDENTIALS;
	if (weaker != NULL)
		*weaker = is_weaker(&h, want);
	secret_wipe(out, sizeof out);
	secret_wipe(&h, sizeof h);
	return e;
}

/* Memory in KiB, and that times what it is gone through. */
static void cost_of(const struct parsed *h, uint64_t *memory, uint64_t *work)
{
	*memory = h->kind == ARGON2 ? h->p.memory_kib : (UINT64_C(128) * h->r << h->ln) >> 10;
	*work = *memory * (h->kind == ARGON2 ? h->p.iterations : h->lanes);
}

enum err password_hash_check(struct str phc, struct fail *f)
{
	uint64_t memory, work;
	struct parsed h;

	if (!parse(phc, &h) || h.hash_len < 16)
		return fail_set(f, E_INVALID_FIELD, "must be an Argon2 or scrypt hash ($argon2id$, $argon2i$, "
		    "$argon2d$, $scrypt$, $s1$, $s0$) with sane parameters");
	cost_of(&h, &memory, &work);
	secret_wipe(&h, sizeof h);
	if (memory > PASSWORD_IMPORT_MIB << 10 || work > PASSWORD_IMPORT_WORK_MIB << 10)
		return fail_set(f, E_INVALID_FIELD, "must take at most %d MiB of memory, and %d MiB times "
		    "passes or parallelism", PASSWORD_IMPORT_MIB, PASSWORD_IMPORT_WORK_MIB);
	return OK;
}

enum err password_verify_dummy(struct str password, const struct password_params *p)
{
	static const unsigned char salt[SALT];
	char phc[PASSWORD_PHC_LEN];
	enum err e = password_hash(password, p, salt, phc);

	secret_wipe(phc, sizeof phc);
	return e == OK ? E_INVALID_CREDENTIALS : e;
}

enum err password_normalise(struct str in, unsigned min, unsigned max, struct buf *out,
    struct fail *f)
{
	size_t n = 0, chars;
	uint8_t *u;
	enum err e;

	/* no composition takes more than 18 code points, of at most 4 bytes, per character */
	if (in.n > (size_t)max * 72)
		return fail_set(f, E_WEAK_PASSWORD, "the password has more than %u characters", max);
	if (!str_utf8(in))
		return fail_set(f, E_WEAK_PASSWORD, "the password is not valid UTF-8");
	u = u8_normalize(UNINORM_NFC, (const uint8_t *)in.p, in.n, NULL, &n);
	if (u == NULL && in.n > 0)
		return fail_set(f, E_NOMEM, "%s", err_info(E_NOMEM)->text);
	chars = u8_mbsnlen(u, n);
	if (chars < min)
		e = fail_set(f, E_WEAK_PASSWORD, "the password has fewer than %u characters", min);
	else if (chars > max)
		e = fail_set(f, E_WEAK_PASSWORD, "the password has more than %u characters", max);
	else
		e = buf_add(out, u, n);
	secret_wipe(u, n);
	free(u);
	return e;
}
