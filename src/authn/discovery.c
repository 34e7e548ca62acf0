#include "authn/discovery.h"

#include <jansson.h>
#include <string.h>

#include "authn/fetch.h"

#define URL_MAX 2048

static enum err refuse(struct fail *f, const char *what)
{
	return fail_set(f, E_INVALID_FIELD, "the provider's metadata is refused: %s", what);
}

static const char *text_of(const json_t *root, const char *name)
{
	const json_t *v = json_object_get(root, name);

	/* a NUL inside would hide the rest */
	return json_is_string(v) && strlen(json_string_value(v)) == json_string_length(v) ?
	    json_string_value(v) : NULL;
}

/* NULL when it is not there; *ok becomes false when it is there and no address that is allowed. */
static const char *url_of(const json_t *root, const char *name, bool *ok)
{
	const char *url = text_of(root, name);

	if (json_object_get(root, name) == NULL)
		return NULL;
	if (url == NULL || strlen(url) > URL_MAX || !fetch_url_allowed(url))
		*ok = false;
	return url;
}

/* Whether the array `name` holds the word; `absent` when there is no such member. */
static bool lists(const json_t *root, const char *name, const char *word, bool absent)
{
	const json_t *list = json_object_get(root, name), *v;
	size_t i;

	if (list == NULL)
		return absent;
	json_array_foreach(list, i, v)
		if (json_is_string(v) && strcmp(json_string_value(v), word) == 0)
			return true;
	return false;
}

static void read_abilities(struct discovery *d)
{
	const char *methods = "token_endpoint_auth_methods_supported";

	d->iss_in_response = json_is_true(json_object_get(d->root,
	    "authorization_response_iss_parameter_supported"));
	d->auth_basic = lists(d->root, methods, "client_secret_basic", true); /* RFC 8414, 2: the default */
	d->auth_post = lists(d->root, methods, "client_secret_post", false);
	d->code_flow = lists(d->root, "response_types_supported", "code", false) &&
	    lists(d->root, "code_challenge_methods_supported", "S256", true);
}

static enum err read_all(struct discovery *d, struct str issuer, struct fail *f)
{
	const char *named = text_of(d->root, "issuer");
	bool ok = true;

	if (named == NULL || !str_eqc(issuer, named))
		return refuse(f, "it is of another issuer");
	d->jwks_uri = url_of(d->root, "jwks_uri", &ok);
	d->authorization_endpoint = url_of(d->root, "authorization_endpoint", &ok);
	d->token_endpoint = url_of(d->root, "token_endpoint", &ok);
	d->userinfo_endpoint = url_of(d->root, "userinfo_endpoint", &ok);
	if (!ok)
		return refuse(f, "an address in it is neither https nor http to loopback");
	if (d->jwks_uri == NULL)
		return refuse(f, "it names no jwks_uri");
	read_abilities(d);
	return OK;
}

enum err discovery_parse(struct str text, struct str issuer, struct discovery *out, struct fail *f)
{
	enum err e;

	*out = (struct discovery){ 0 };
	if (text.n > DISCOVERY_TEXT_MAX)
		return refuse(f, "it is too large");
	out->root = json_loadb(text.p, text.n, JSON_REJECT_DUPLICATES, NULL);
	if (!json_is_object(out->root))
		e = refuse(f, "it is not a JSON object without duplicates");
	else
		e = read_all(out, issuer, f);
	if (e != OK)
		discovery_release(out);
	return e;
}

void discovery_release(struct discovery *d)
{
	json_decref(d->root);
	*d = (struct discovery){ 0 };
}
