#include "routing/url.h"

#include <arpa/inet.h>
#include <ctype.h>

#define URL_MAX 1024
#define HOST_MAX 253 /* RFC 1035, 2.3.4 */

static const struct {
	struct str prefix;
	enum route_scheme scheme;
	uint16_t port;
} schemes[] = {
	{ { "http://", 7 }, SCHEME_HTTP, 80 },
	{ { "https://", 8 }, SCHEME_HTTPS, 443 },
	{ { "grpc://", 7 }, SCHEME_GRPC, 80 },
	{ { "grpcs://", 8 }, SCHEME_GRPCS, 443 },
};

static bool parse_scheme(struct str *s, struct route_endpoint *out)
{
	for (size_t i = 0; i < sizeof schemes / sizeof schemes[0]; i++)
		if (str_starts(*s, schemes[i].prefix)) {
			out->scheme = schemes[i].scheme;
			out->port = schemes[i].port;
			*s = str_skip(*s, schemes[i].prefix.n);
			return true;
		}
	return false;
}

static bool is_address(int family, struct str host)
{
	char z[INET6_ADDRSTRLEN];
	unsigned char bytes[16];

	if (host.n >= sizeof z)
		return false;
	memcpy(z, host.p, host.n);
	z[host.n] = '\0';
	return inet_pton(family, z, bytes) == 1;
}

static bool label_ok(struct str label)
{
	if (label.n == 0 || label.n > 63 || label.p[0] == '-' || label.p[label.n - 1] == '-')
		return false;
	for (size_t i = 0; i < label.n; i++)
		if (!isalnum((unsigned char)label.p[i]) && label.p[i] != '-' && label.p[i] != '_')
			return false;
	return true;
}

/* A name of labels; one that ends in a number must be an IPv4 address (WHATWG URL, "ends in a
 * number"), so that 10.0.0.300 is not looked up as a name. */
static bool name_ok(struct str host)
{
	struct str rest = host, label = STR_NONE;
	uint64_t number;

	if (host.n == 0 || host.n > HOST_MAX)
		return false;
	if (host.p[host.n - 1] == '.')
		return false;
	while (rest.p != NULL) {
		label = str_cut(rest, '.', &rest);
		if (!label_ok(label))
			return false;
	}
	return !str_u64(label, UINT64_MAX, &number) || is_address(AF_INET, host);
}

static bool path_ok(struct str path)
{
	struct str rest = path;

	for (size_t i = 0; i < path.n; i++)
		if (!isalnum((unsigned char)path.p[i]) && strchr("-._~!$&'()*+,;=:@/%", path.p[i]) == NULL)
			return false;
	while (rest.p != NULL) {
		struct str seg = str_cut(rest, '/', &rest);

		if (str_eq(seg, STR(".")) || str_eq(seg, STR("..")))
			return false;
	}
	return true;
}

static const char *parse_port(struct str port, struct route_endpoint *out)
{
	uint64_t v;

	if (!str_u64(port, 65535, &v) || v == 0)
		return "the port must be a number from 1 to 65535";
	out->port = (uint16_t)v;
	return NULL;
}

static const char *parse_bracketed(struct str authority, struct route_endpoint *out)
{
	struct str rest;

	out->host = str_cut(str_skip(authority, 1), ']', &rest);
	if (rest.p == NULL || !is_address(AF_INET6, out->host))
		return "the brackets hold no IPv6 address";
	if (rest.n == 0)
		return NULL;
	return rest.p[0] == ':' ? parse_port(str_skip(rest, 1), out) : "there is text after the brackets";
}

static const char *parse_authority(struct str authority, struct route_endpoint *out)
{
	struct str port;

	if (authority.n > 0 && memchr(authority.p, '@', authority.n) != NULL)
		return "it must not hold user or password";
	if (authority.n > 0 && authority.p[0] == '[')
		return parse_bracketed(authority, out);
	out->host = str_cut(authority, ':', &port);
	if (out->host.n == 0)
		return "the host is missing";
	if (!name_ok(out->host))
		return "the host is neither a name nor an address";
	return port.p != NULL ? parse_port(port, out) : NULL;
}

const char *route_url_parse(struct str url, struct route_endpoint *out)
{
	struct str s = url, path;
	const char *bad;
	size_t n = 0;

	if (url.n > URL_MAX)
		return "it is longer than 1024 characters";
	if (!parse_scheme(&s, out))
		return "the scheme must be http, https, grpc or grpcs";
	while (n < s.n && s.p[n] != '/' && s.p[n] != '?' && s.p[n] != '#')
		n++;
	bad = parse_authority(str_n(s.p, n), out);
	if (bad != NULL)
		return bad;
	path = str_skip(s, n);
	if (path.n > 0 && (memchr(path.p, '?', path.n) != NULL || memchr(path.p, '#', path.n) != NULL))
		return "it must not hold a query or a fragment";
	if (!path_ok(path))
		return "the path holds characters or segments that are not allowed";
	while (path.n > 0 && path.p[path.n - 1] == '/')
		path.n--;
	out->base = path;
	return NULL;
}
