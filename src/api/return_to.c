#include "api/return_to.h"

#include "authn/fetch.h"

/* Splits behind the origin: the path is what is left, with its slash, or empty. False: no address. */
static bool split(struct str url, struct str *origin, struct str *path)
{
	size_t n = str_starts(url, STR("https://")) ? 8 : str_starts(url, STR("http://")) ? 7 : 0;

	if (n == 0)
		return false;
	while (n < url.n && url.p[n] != '/' && url.p[n] != '?')
		n++;
	*origin = str_n(url.p, n);
	*path = str_skip(url, n);
	return true;
}

/* What browsers take for another path than the one that is compared. */
static bool is_straight(const char *url)
{
	return strchr(url, '\\') == NULL && strstr(url, "..") == NULL && strcasestr(url, "%2e") == NULL &&
	    strcasestr(url, "%5c") == NULL;
}

static bool matches(struct str pattern, struct str origin, struct str path)
{
	struct str want_origin, want_path;

	if (!split(pattern, &want_origin, &want_path) || !str_glob(want_origin, origin))
		return false;
	if (want_path.n == 0)
		return path.n == 0 || str_eq(path, STR("/"));
	return str_glob(want_path, path);
}

bool return_to_allowed(const struct config_list *patterns, const char *url)
{
	struct str origin, path;

	if (!fetch_url_valid(url) || !is_straight(url) || !split(str_c(url), &origin, &path))
		return false;
	for (size_t i = 0; i < patterns->n; i++)
		if (matches(str_c(patterns->v[i]), origin, path))
			return true;
	return false;
}
