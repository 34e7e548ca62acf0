#include "master_key.h"

#include <stdio.h>
#include <string.h>

#include "base/config.h"
#include "base/secret.h"
#include "crypto/seal.h"
#include "iam/signing_key.h"
#include "store/store.h"

enum err master_key_open(const struct config *config, struct store *s, bool check, struct seal **out,
    struct fail *f)
{
	const struct secret *key = &config->auth_master_key;
	const char *file = config->store_url + strlen("sqlite:");
	const char *slash = strrchr(file, '/');
	char path[4096], value[128] = "";
	bool sealed = true;
	enum err e;

	if (key->n == 0 && store_is_rqlite(s))
		return fail_set(f, E_CONFIG, "auth.master_key must be given with rqlite: 32 random bytes in "
		    "base64, the same on every replica (for example in the file that "
		    "GATEWAYD_AUTH_MASTER_KEY_FILE names)");
	if (key->n >= sizeof value)
		return fail_set(f, E_CONFIG, "auth.master_key must be 32 bytes in base64");
	if (key->n > 0)
		memcpy(value, key->p, key->n);
	snprintf(path, sizeof path, "%.*smaster.key", slash != NULL ? (int)(slash - file + 1) : 0,
	    file);
	e = check ? OK : signing_key_any(s, &sealed, f);
	if (e == OK)
		e = seal_load(value, path, !sealed, out, f);
	secret_wipe(value, sizeof value);
	return e;
}
