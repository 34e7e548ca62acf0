#include "crypto/seal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <nettle/gcm.h>
#include <nettle/hkdf.h>
#include <nettle/hmac.h>

#include "base/file.h"
#include "base/heap.h"
#include "base/hex.h"
#include "base/log.h"
#include "base/rnd.h"

enum { VERSION = 1, NONCE = GCM_IV_SIZE, TAG = GCM_DIGEST_SIZE, HEAD = 1 + NONCE };

/* What the master key turns into; the master key itself is not kept. */
struct keys {
	unsigned char prk[32];  /* HKDF-Extract(salt, master key) */
	unsigned char aead[32]; /* HKDF-Expand(prk, "seal") */
};

struct seal {
	struct secret keys; /* struct keys */
};

static const struct keys *keys_of(const struct seal *s)
{
	return (const struct keys *)(const void *)s->keys.p;
}

static void expand(const unsigned char prk[32], const char *info, unsigned char out[32])
{
	struct hmac_sha256_ctx h;

	hmac_sha256_set_key(&h, 32, prk);
	hkdf_expand(&h, (nettle_hash_update_func *)hmac_sha256_update,
	    (nettle_hash_digest_func *)hmac_sha256_digest, 32, strlen(info),
	    (const uint8_t *)info, 32, out);
	secret_wipe(&h, sizeof h);
}

enum err seal_new(const unsigned char key32[32], struct seal **out)
{
	static const char salt[] = "gatewayd master key";
	struct seal *s = heap_zalloc(sizeof *s);
	struct hmac_sha256_ctx h;
	struct keys k;
	enum err e;

	if (s == NULL)
		return E_NOMEM;
	hmac_sha256_set_key(&h, sizeof salt - 1, (const uint8_t *)salt);
	hkdf_extract(&h, (nettle_hash_update_func *)hmac_sha256_update,
	    (nettle_hash_digest_func *)hmac_sha256_digest, 32, 32, key32, k.prk);
	expand(k.prk, "seal", k.aead);
	e = secret_set(&s->keys, &k, sizeof k);
	secret_wipe(&h, sizeof h);
	secret_wipe(&k, sizeof k);
	if (e != OK) {
		heap_free(s);
		return e;
	}
	*out = s;
	return OK;
}

void seal_free(struct seal *s)
{
	if (s == NULL)
		return;
	secret_release(&s->keys);
	heap_free(s);
}

enum err seal_close(const struct seal *s, struct str ad, struct str plain, struct buf *out)
{
	struct gcm_aes256_ctx c;
	unsigned char *o;
	enum err e = buf_reserve(out, HEAD + plain.n + TAG);

	if (e != OK)
		return e;
	o = (unsigned char *)out->p + out->n;
	o[0] = VERSION;
	rnd_bytes(o + 1, NONCE);
	gcm_aes256_set_key(&c, keys_of(s)->aead);
	gcm_aes256_set_iv(&c, NONCE, o + 1);
	gcm_aes256_update(&c, ad.n, (const uint8_t *)ad.p);
	gcm_aes256_encrypt(&c, plain.n, o + HEAD, (const uint8_t *)plain.p);
	gcm_aes256_digest(&c, TAG, o + HEAD + plain.n);
	secret_wipe(&c, sizeof c);
	out->n += HEAD + plain.n + TAG;
	return OK;
}

enum err seal_open(const struct seal *s, struct str ad, struct str sealed, struct buf *plain)
{
	const uint8_t *in = (const uint8_t *)sealed.p;
	struct gcm_aes256_ctx c;
	uint8_t tag[TAG];
	size_t n;
	enum err e;

	if (sealed.n < HEAD + TAG || in[0] != VERSION)
		return E_INTERNAL;
	n = sealed.n - HEAD - TAG;
	e = buf_reserve(plain, n);
	if (e != OK)
		return e;
	gcm_aes256_set_key(&c, keys_of(s)->aead);
	gcm_aes256_set_iv(&c, NONCE, in + 1);
	gcm_aes256_update(&c, ad.n, (const uint8_t *)ad.p);
	gcm_aes256_decrypt(&c, n, (uint8_t *)plain->p + plain->n, in + HEAD);
	gcm_aes256_digest(&c, TAG, tag);
	secret_wipe(&c, sizeof c);
	if (!secret_eq(str_n((char *)tag, TAG), str_n(sealed.p + HEAD + n, TAG))) {
		secret_wipe(plain->p + plain->n, n);
		return E_INTERNAL;
	}
	plain->n += n;
	return OK;
}

void seal_mac(const struct seal *s, const char *purpose, struct str data, unsigned char out[32])
{
	struct hmac_sha256_ctx h;
	unsigned char key[32];
	char info[64];

	/* "mac:" keeps these sub-keys apart from the one that seals */
	(void)snprintf(info, sizeof info, "mac:%s", purpose);
	expand(keys_of(s)->prk, info, key);
	hmac_sha256_set_key(&h, sizeof key, key);
	hmac_sha256_update(&h, data.n, (const uint8_t *)data.p);
	hmac_sha256_digest(&h, 32, out);
	secret_wipe(&h, sizeof h);
	secret_wipe(key, sizeof key);
}

/* ---- where the master key comes from ---- */

static bool decode_key(struct str text, unsigned char key[32])
{
	size_t n = 0;

	return b64_decode(str_trim(str_chomp(text)), key, 32, &n) && n == 32;
}

/* fsync of the directory that `path` stands in. */
static bool sync_dir(const char *path)
{
	const char *slash = strrchr(path, '/');
	char dir[4096];
	bool ok;
	int fd;

	(void)snprintf(dir, sizeof dir, "%.*s", slash == NULL ? 1 : (int)(slash - path) + 1,
	    slash == NULL ? "." : path);
	fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return false;
	ok = fsync(fd) == 0;
	close(fd);
	return ok;
}

/* Makes the file whole or not at all. link(2) does not replace: of two processes that start at
 * once, one key wins and both read it. */
static enum err make_file(const char *path, struct fail *f)
{
	unsigned char key[32];
	char text[B64_LEN(32) + 1], tmp[4096];
	bool ok;
	int fd;

	if (snprintf(tmp, sizeof tmp, "%s.%ld.new", path, (long)getpid()) >= (int)sizeof tmp)
		return fail_set(f, E_CONFIG, "auth.master_key: the path is too long");
	fd = open(tmp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return fail_set(f, E_CONFIG, "cannot make the master key file %s: %s", tmp,
		    strerror(errno));
	rnd_bytes(key, sizeof key);
	text[b64_encode(key, sizeof key, text)] = '\n';
	ok = file_write(fd, str_n(text, sizeof text)) && fsync(fd) == 0;
	ok = close(fd) == 0 && ok;
	ok = ok && (link(tmp, path) == 0 || errno == EEXIST) && sync_dir(path);
	if (!ok)
		(void)fail_set(f, E_CONFIG, "cannot make the master key file %s: %s", path,
		    strerror(errno));
	(void)unlink(tmp);
	secret_wipe(key, sizeof key);
	secret_wipe(text, sizeof text);
	return ok ? OK : E_CONFIG;
}

/* Reads at most cap bytes of the open file; -1 on error. */
static ssize_t read_some(int fd, char *p, size_t cap)
{
	size_t n = 0;

	while (n < cap) {
		ssize_t k = read(fd, p + n, cap - n);

		if (k < 0 && errno == EINTR)
			continue;
		if (k < 0)
			return -1;
		if (k == 0)
			break;
		n += (size_t)k;
	}
	return (ssize_t)n;
}

static enum err read_file(const char *path, unsigned char key[32], struct fail *f)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;
	char text[128];
	ssize_t n;
	bool ok;

	if (fd < 0)
		return fail_set(f, errno == ENOENT ? E_NOT_FOUND : E_CONFIG,
		    "cannot read the master key file %s: %s", path, strerror(errno));
	if (fstat(fd, &st) == 0 && (st.st_mode & 07) != 0)
		log_warn("the master key file is open to every user of this machine",
		    LOG_Z("path", path));
	n = read_some(fd, text, sizeof text);
	close(fd);
	ok = n >= 0 && decode_key(str_n(text, (size_t)n), key);
	secret_wipe(text, sizeof text);
	return ok ? OK : fail_set(f, E_CONFIG, "the master key file %s does not hold 32 bytes in base64",
	    path);
}

static enum err load_file(const char *path, bool create, unsigned char key[32], struct fail *f)
{
	enum err e = read_file(path, key, f);

	if (e != E_NOT_FOUND)
		return e;
	if (!create)
		return fail_set(f, E_CONFIG, "the master key file %s does not exist, but the store holds what "
		    "was sealed with it: restore it, or give its key as auth.master_key", path);
	e = make_file(path, f);
	return e == OK ? read_file(path, key, f) : e;
}

enum err seal_load(const char *value, const char *path, bool create, struct seal **out,
    struct fail *f)
{
	unsigned char key[32];
	enum err e = OK;

	if (value != NULL && value[0] != '\0') {
		if (!decode_key(str_c(value), key))
			e = fail_set(f, E_CONFIG, "auth.master_key must be 32 bytes in base64");
	} else if (path != NULL && path[0] != '\0') {
		e = load_file(path, create, key, f);
	} else {
		e = fail_set(f, E_CONFIG, "auth.master_key must be given: there is no file to keep it in");
	}
	if (e == OK && (e = seal_new(key, out)) != OK)
		(void)fail_set(f, e, "the master key: %s", err_info(e)->text);
	secret_wipe(key, sizeof key);
	return e;
}
