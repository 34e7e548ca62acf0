/* What issuers of tokens say over the network: metadata and key sets, whatever they hold. Beyond memory
 * safety: no address gets through that is not allowed, and no key that was not there. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "../unit/jws_vectors.h"
#include "authn/discovery.h"
#include "authn/fetch.h"
#include "crypto/jwks.h"
#include "crypto/jws.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void check_keys(struct str text)
{
	static const char *const tokens[] = { A2_TOKEN, A3_TOKEN, R8037_TOKEN };
	struct jwks *s = NULL;
	char scratch[2048];
	struct jws j;

	if (jwks_parse(text, &s, NULL) != OK)
		return;
	if (jwks_count(s) == 0 || jwks_count(s) > 2 * JWKS_KEYS)
		abort();
	for (size_t i = 0; i < sizeof tokens / sizeof *tokens; i++)
		if (jws_parse(str_c(tokens[i]), scratch, sizeof scratch, &j) == OK)
			(void)jwks_verify(s, &j);
	jwks_free(s);
}

static void check_url(const char *url)
{
	if (url != NULL && strncmp(url, "https://", 8) != 0 && strncmp(url, "http://", 7) != 0)
		abort();
}

static void check_metadata(struct str text)
{
	struct discovery d;

	if (discovery_parse(text, STR("https://a.test"), &d, NULL) != OK)
		return;
	if (d.jwks_uri == NULL)
		abort();
	check_url(d.jwks_uri);
	check_url(d.authorization_endpoint);
	check_url(d.token_endpoint);
	check_url(d.userinfo_endpoint);
	discovery_release(&d);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct str text = str_n((const char *)data, n);
	char *url = malloc(n + 1);

	memcpy(url, data, n);
	url[n] = '\0';
	if (fetch_url_allowed(url))
		check_url(url);
	free(url);
	check_keys(text);
	check_metadata(text);
	return 0;
}
