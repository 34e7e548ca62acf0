#include "offline.h"

#include <stdio.h>
#include <unistd.h>

#include "base/config.h"
#include "gwctl.h"
#include "store/store.h"

enum err offline_config(const struct gwctl *g, struct config **c, struct fail *f)
{
	const struct str given = STR("-o: store.url: "); /* how the configuration names what we pass on */
	const char *store = gwctl_arg(g, "--store");
	char url[2048], *overrides[] = { url };
	enum err e;

	*c = config_new();
	if (*c == NULL)
		return fail_set(f, E_NOMEM, "no memory");
	snprintf(url, sizeof url, "store.url=%s", store != NULL ? store : "");
	e = config_load(*c, gwctl_arg(g, "--config"), overrides, store != NULL, environ, f);
	if (e != OK && store != NULL && str_starts(str_c(f->text), given)) {
		snprintf(url, sizeof url, "%s", f->text + given.n);
		fail_set(f, e, "--store: %s", url);
	}
	if ((store != NULL && *store == '\0') ||
	    (e == OK && (*c)->origin[CONFIG_ID_store_url] == CONFIG_DEFAULT))
		e = fail_set(f, E_USAGE, "which store? give --store URL, or --config FILE with store.url");
	return e;
}

enum err offline_open(const struct config *c, bool read_only, struct store **s, struct fail *f)
{
	struct store_config sc = {
		.url = c->store_url,
		.timeout_us = c->store_timeout,
		.ca = c->store_ca,
		.cert = c->store_cert,
		.key = c->store_key,
		.read_only = read_only,
	};

	return store_open(s, &sc, f);
}
