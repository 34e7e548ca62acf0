#include "crypto/keyring.h"

#include <stdatomic.h>
#include <string.h>

#include "base/heap.h"

struct keyring {
	atomic_uint refs;
	size_t n, signer; /* signer == n: none */
	struct keyring_entry e[];
};

enum err keyring_new_take(struct keyring_entry *e, size_t n, struct keyring **out)
{
	struct keyring *k = heap_zalloc(sizeof *k + n * sizeof *e);
	unsigned active = 0;

	for (size_t i = 0; i < n; i++) {
		if (k == NULL || e[i].state == KEY_REVOKED) {
			jws_key_free(e[i].key);
			continue;
		}
		if (e[i].state == KEY_ACTIVE) {
			k->signer = k->n;
			active++;
		}
		k->e[k->n++] = e[i];
	}
	if (k == NULL)
		return E_NOMEM;
	atomic_init(&k->refs, 1);
	if (active == 0)
		k->signer = k->n;
	if (active > 1) {
		keyring_unref(k);
		return E_INTERNAL;
	}
	*out = k;
	return OK;
}

struct keyring *keyring_ref(struct keyring *k)
{
	atomic_fetch_add_explicit(&k->refs, 1, memory_order_relaxed);
	return k;
}

void keyring_unref(struct keyring *k)
{
	if (k == NULL || atomic_fetch_sub_explicit(&k->refs, 1, memory_order_acq_rel) != 1)
		return;
	for (size_t i = 0; i < k->n; i++)
		jws_key_free(k->e[i].key);
	heap_free(k);
}

const struct keyring_entry *keyring_find(const struct keyring *k, struct str kid)
{
	for (size_t i = 0; i < k->n; i++)
		if (str_eqc(kid, k->e[i].kid))
			return &k->e[i];
	return NULL;
}

const struct keyring_entry *keyring_signer(const struct keyring *k)
{
	return k->signer < k->n ? &k->e[k->signer] : NULL;
}

void keyring_write_jwks(const struct keyring *k, int64_t now, struct buf *out)
{
	const char *comma = "";

	(void)buf_addz(out, "{\"keys\":[");
	for (size_t i = 0; i < k->n; i++) {
		const struct keyring_entry *e = &k->e[i];

		if (e->not_after != 0 && now >= e->not_after)
			continue;
		(void)buf_addz(out, comma);
		jws_key_write_jwk(e->key, str_c(e->kid), out);
		comma = ",";
	}
	(void)buf_addz(out, "]}");
}
