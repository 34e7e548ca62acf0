#include "base/config.h"

#include <ctype.h>
#include <errno.h>
#include <jansson.h>
#include <sched.h>
#include <stdarg.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/config_value.h"
#include "base/config_yaml.h"
#include "base/heap.h"
#include "base/suggest.h"

#define FIXED false
#define RELOAD true
#define ENV_PREFIX "GATEWAYD_"
#define MAX_FILE (1 << 20)

const struct config_key config_keys[CONFIG__COUNT] = {
#define K(field, name, kind, def, allowed, reload, help) \
	{ name, CONFIG_##kind, def, allowed, reload, help, offsetof(struct config, field) },
#include "base/config.def"
#undef K
};

struct config *config_new(void)
{
	struct config *c = heap_zalloc(sizeof *c);

	if (c == NULL)
		return NULL;
	for (int i = 0; i < CONFIG__COUNT; i++) {
		const struct config_key *k = &config_keys[i];

		if (k->def == NULL || config_value_parse(k, config_field(c, i), str_c(k->def), NULL) == OK)
			continue;
		config_free(c);
		return NULL;
	}
	return c;
}

void config_free(struct config *c)
{
	if (c == NULL)
		return;
	for (int i = 0; i < CONFIG__COUNT; i++)
		config_value_release(&config_keys[i], config_field(c, i));
	heap_free(c);
}

/* ---- what one load carries ---- */

struct load {
	struct config *c;
	enum config_origin origin;
	const char *place; /* file name, "environment", "-o" */
	const struct config_key *bad; /* key whose sequence had a fault: said once */
	json_t *faults;
	bool nomem;
};

static void add_fault(struct load *l, int line, const char *fmt, va_list ap)
{
	char text[320], whole[512];

	vsnprintf(text, sizeof text, fmt, ap);
	if (line > 0)
		snprintf(whole, sizeof whole, "%s:%d: %s", l->place, line, text);
	else
		snprintf(whole, sizeof whole, "%s: %s", l->place, text);
	if (json_array_append_new(l->faults, json_string(whole)) != 0)
		l->nomem = true;
}

static void fault(void *ctx, int line, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
static void fault(void *ctx, int line, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	add_fault(ctx, line, fmt, ap);
	va_end(ap);
}

static int find_key(struct str name)
{
	for (int i = 0; i < CONFIG__COUNT; i++)
		if (str_eqc(name, config_keys[i].name))
			return i;
	return -1;
}

static void unknown_key(struct load *l, int line, struct str name)
{
	struct suggest s = suggest_for(name);
	const char *near;

	for (int i = 0; i < CONFIG__COUNT; i++)
		suggest_offer(&s, config_keys[i].name);
	near = suggest_get(&s);
	fault(l, line, "%.*s: unknown key%s%s%s", STR_ARG(name), near != NULL ? "; did you mean " : "",
	    near != NULL ? near : "", near != NULL ? "?" : "");
}

/* URLs may carry a password: those are told apart from harmless ones, and never shown. */
static bool has_password(struct str url)
{
	struct str rest = url;

	while (rest.n > 3 && !str_starts(rest, STR("://")))
		rest = str_skip(rest, 1);
	return rest.n > 3 && memchr(rest.p, '@', rest.n) != NULL;
}

static void bad_value(struct load *l, int line, const struct config_key *k, struct str value,
    const struct fail *f)
{
	bool hide = k->kind == CONFIG_SECRET || has_password(value);

	if (f->err == E_NOMEM)
		l->nomem = true;
	else if (hide)
		fault(l, line, "%s: %s", k->name, fail_text(f));
	else
		fault(l, line, "%s: \"%.*s\" %s", k->name, (int)(value.n > 100 ? 100 : value.n), value.p,
		    fail_text(f));
}

static void set(struct load *l, int line, int id, struct str value)
{
	const struct config_key *k = &config_keys[id];
	struct fail f = { 0 };

	f.err = config_value_parse(k, config_field(l->c, id), value, &f);
	if (f.err == OK)
		l->c->origin[id] = l->origin;
	else
		bad_value(l, line, k, value, &f);
	fail_clear(&f);
}

/* ---- the file ---- */

static void begin_list(struct load *l, int line, int id)
{
	const struct config_key *k = &config_keys[id];

	l->bad = NULL;
	if (k->kind == CONFIG_LIST || k->kind == CONFIG_NETWORKS) {
		config_value_release(k, config_field(l->c, id));
		l->c->origin[id] = l->origin;
		return;
	}
	l->bad = k;
	fault(l, line, "%s: must be one %s, not a list", k->name, config_kind_name(k->kind));
}

static void element(struct load *l, int line, int id, struct str value)
{
	const struct config_key *k = &config_keys[id];
	struct fail f = { 0 };

	if (l->bad == k)
		return;
	f.err = config_value_append(k, config_field(l->c, id), value, &f);
	if (f.err != OK)
		bad_value(l, line, k, value, &f);
	fail_clear(&f);
}

static void file_value(void *ctx, int line, struct str key, struct str value, size_t nth)
{
	struct load *l = ctx;
	int id = find_key(key);

	if (id < 0) {
		if (nth == 0 || nth == SIZE_MAX)
			unknown_key(l, line, key);
	} else if (config_keys[id].kind == CONFIG_ISSUERS) {
		fault(l, line, "%s: must be a list of maps", config_keys[id].name);
	} else if (nth == SIZE_MAX) {
		begin_list(l, line, id);
	} else if (nth > 0) {
		element(l, line, id, value);
	} else {
		set(l, line, id, value);
	}
}

static enum err read_file(const char *path, struct buf *out, struct fail *f)
{
	FILE *in = fopen(path, "re");
	enum err e = OK;
	size_t n;

	if (in == NULL)
		return fail_set(f, E_CONFIG, "%s: %s", path, strerror(errno));
	while (e == OK && (e = buf_reserve(out, 4096)) == OK) {
		n = fread(out->p + out->n, 1, 4096, in);
		out->n += n;
		if (n == 0)
			break;
	}
	if (e == OK && ferror(in))
		e = fail_set(f, E_CONFIG, "%s: %s", path, strerror(errno));
	else if (e == E_LIMIT)
		e = fail_set(f, E_CONFIG, "%s: larger than %zu bytes", path, out->max);
	fclose(in);
	return e;
}

static void take_issuers(struct load *l, struct config_issuers *issuers)
{
	config_value_release(&config_keys[CONFIG_ID_issuers], &l->c->issuers);
	l->c->issuers = *issuers;
	l->c->origin[CONFIG_ID_issuers] = l->origin;
}

static enum err load_file(struct load *l, const char *path, struct fail *f)
{
	struct config_sink sink = { l, file_value, fault };
	struct config_issuers issuers = { 0 };
	struct buf text;
	int line = 0;
	enum err e;

	l->origin = CONFIG_FILE;
	l->place = path;
	buf_init_secret(&text, MAX_FILE);
	e = read_file(path, &text, f);
	if (e == OK)
		e = config_yaml_parse(buf_str(&text), &sink, &issuers, &line);
	if (line > 0)
		take_issuers(l, &issuers);
	else
		config_value_release(&config_keys[CONFIG_ID_issuers], &issuers);
	buf_release(&text);
	return e;
}

/* ---- environment and -o ---- */

static enum err set_text(struct load *l, int id, struct str value)
{
	struct config_sink sink = { l, NULL, fault };
	struct config_issuers issuers = { 0 };
	enum err e;

	if (config_keys[id].kind != CONFIG_ISSUERS) {
		set(l, 0, id, value);
		return OK;
	}
	e = config_yaml_issuers(value, &sink, &issuers);
	take_issuers(l, &issuers);
	return e;
}

/* LISTEN_HTTP for listen.http. */
static int find_env(struct str name)
{
	for (int i = 0; i < CONFIG__COUNT; i++) {
		struct str key = str_c(config_keys[i].name);
		size_t k = 0;

		while (k < key.n && k < name.n &&
		    name.p[k] == (key.p[k] == '.' ? '_' : toupper((unsigned char)key.p[k])))
			k++;
		if (k == key.n && k == name.n)
			return i;
	}
	return -1;
}

/* Kubernetes puts GATEWAYD_SERVICE_HOST, GATEWAYD_PORT_8080_TCP and such there for a service named
 * gatewayd; they are not ours. */
static bool service_link(struct str name)
{
	return str_starts(name, STR("SERVICE_")) || str_eqc(name, "PORT") ||
	    str_starts(name, STR("PORT_"));
}

static enum err set_from_file(struct load *l, int id, struct str path, struct fail *f)
{
	char name[4096];
	struct buf text;
	enum err e;

	if (path.n == 0 || path.n >= sizeof name)
		return fail_set(f, E_CONFIG, "%s: %s: no file name, or one that is too long", l->place,
		    config_keys[id].name);
	memcpy(name, path.p, path.n);
	name[path.n] = '\0';
	buf_init_secret(&text, MAX_FILE);
	e = read_file(name, &text, f);
	if (e == OK) {
		if (text.n > 0 && text.p[text.n - 1] == '\n')
			text.n--;
		if (text.n > 0 && text.p[text.n - 1] == '\r')
			text.n--;
		e = set_text(l, id, buf_str(&text));
	}
	buf_release(&text);
	return e;
}

static enum err load_variable(struct load *l, struct str name, struct str value,
    bool seen[CONFIG__COUNT], struct fail *f)
{
	bool from_file = false;
	int id = find_env(name);

	if (id < 0 && name.n > 5 && str_eqc(str_skip(name, name.n - 5), "_FILE")) {
		id = find_env(str_n(name.p, name.n - 5));
		from_file = id >= 0;
	}
	if (id < 0) {
		if (!service_link(name))
			fault(l, 0, ENV_PREFIX "%.*s: unknown key", STR_ARG(name));
		return OK;
	}
	if (seen[id])
		fault(l, 0, "%s: given both as a value and as a file", config_keys[id].name);
	seen[id] = true;
	return from_file ? set_from_file(l, id, value, f) : set_text(l, id, value);
}

static enum err load_environment(struct load *l, char **environ_, struct fail *f)
{
	bool seen[CONFIG__COUNT] = { false };
	enum err e = OK;

	l->origin = CONFIG_ENVIRONMENT;
	l->place = "environment";
	for (; e == OK && environ_ != NULL && *environ_ != NULL; environ_++) {
		struct str value, name = str_cut(str_c(*environ_), '=', &value);

		if (str_starts(name, STR(ENV_PREFIX)) && value.p != NULL)
			e = load_variable(l, str_skip(name, strlen(ENV_PREFIX)), value, seen, f);
	}
	return e;
}

static enum err load_override(struct load *l, struct str arg)
{
	struct str value, key = str_cut(arg, '=', &value);
	int id = find_key(key);
	const struct config_key *k = id >= 0 ? &config_keys[id] : NULL;

	if (k == NULL)
		unknown_key(l, 0, key);
	else if (value.p == NULL)
		fault(l, 0, "%s: needs a value: -o %s=VALUE", k->name, k->name);
	else if (k->kind == CONFIG_SECRET || (k->kind == CONFIG_URL && has_password(value)))
		fault(l, 0, "%s: holds a secret, which every process on this machine could read here; "
		    "set it in the file or name a file with it in the environment (" ENV_PREFIX
		    "..._FILE)", k->name);
	else
		return set_text(l, id, value);
	return OK;
}

enum err config_load(struct config *c, const char *file, char *const *overrides, size_t n,
    char **environ_, struct fail *f)
{
	struct load l = { .c = c, .faults = json_array() };
	enum err e = l.faults != NULL ? OK : E_NOMEM;
	size_t count;

	if (e == OK && file != NULL)
		e = load_file(&l, file, f);
	if (e == OK)
		e = load_environment(&l, environ_, f);
	l.origin = CONFIG_OVERRIDE;
	l.place = "-o";
	for (size_t i = 0; e == OK && i < n; i++)
		e = load_override(&l, str_c(overrides[i]));
	count = json_array_size(l.faults);
	if (l.nomem || e == E_NOMEM) {
		e = fail_set(f, E_NOMEM, "no memory for the configuration");
	} else if (count > 0) {
		e = fail_set(f, E_CONFIG, "%s", json_string_value(json_array_get(l.faults, 0)));
		fail_details_take(f, json_pack("{sO}", "faults", l.faults));
	}
	json_decref(l.faults);
	return e;
}

/* ---- keys that depend on others ---- */

static int cores(void)
{
	cpu_set_t set;

	return sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
}

/* http://127.0.0.1:8080, with the port in use. */
static enum err derive_issuer(struct config *c)
{
	const struct config_addr *a = &c->listen_http;
	char url[320];
	bool v6 = strchr(a->host, ':') != NULL;

	snprintf(url, sizeof url, "%s://%s%s%s:%u", c->tls_cert != NULL ? "https" : "http",
	    v6 ? "[" : "", a->host, v6 ? "]" : "", a->bound != 0 ? a->bound : a->port);
	return config_text_set(&c->auth_issuer, str_c(url));
}

static enum err derive(struct config *c)
{
	char url[512];

	if (c->workers == 0)
		c->workers = cores();
	if (c->auth_hash_threads == 0)
		c->auth_hash_threads = (cores() + 1) / 2;
	if (c->origin[CONFIG_ID_store_auto_migrate] == CONFIG_DEFAULT)
		c->store_auto_migrate = str_starts(str_c(c->store_url), STR("sqlite:"));
	if (c->origin[CONFIG_ID_auth_issuer] == CONFIG_DEFAULT && derive_issuer(c) != OK)
		return E_NOMEM;
	if (c->origin[CONFIG_ID_mail_link_base] == CONFIG_DEFAULT &&
	    config_text_set(&c->mail_link_base, str_c(c->auth_issuer)) != OK)
		return E_NOMEM;
	snprintf(url, sizeof url, "%s/v1/auth/oidc/google/callback", c->auth_issuer);
	if (c->origin[CONFIG_ID_oidc_google_redirect_uri] == CONFIG_DEFAULT)
		return config_text_set(&c->oidc_google_redirect_uri, str_c(url));
	return OK;
}

/* Keys whose default is derived: given, they need a value as well. */
static enum err check_derived(const struct config *c, struct fail *f)
{
	static const enum config_id derived[] = { CONFIG_ID_auth_issuer, CONFIG_ID_mail_link_base,
		CONFIG_ID_oidc_google_redirect_uri };

	for (size_t i = 0; i < sizeof derived / sizeof *derived; i++)
		if (*(char *const *)config_field((struct config *)c, derived[i]) == NULL)
			return fail_set(f, E_CONFIG, "%s: must not be empty; leave the key out for its default",
			    config_keys[derived[i]].name);
	return OK;
}

static enum err pair(const char *a, bool has_a, const char *b, bool has_b, struct fail *f)
{
	if (has_a == has_b)
		return OK;
	return fail_set(f, E_CONFIG, "%s: given without %s", has_a ? a : b, has_a ? b : a);
}

/* A token's iss decides whose rules it must satisfy: each name once, and none of them ours. */
static enum err check_issuers(const struct config *c, struct fail *f)
{
	for (size_t i = 0; i < c->issuers.n; i++) {
		const char *name = c->issuers.v[i].issuer;

		if (strcmp(name, c->auth_issuer) == 0)
			return fail_set(f, E_CONFIG, "issuers: %s is auth.issuer: its tokens are our own", name);
		for (size_t k = 0; k < i; k++)
			if (strcmp(name, c->issuers.v[k].issuer) == 0)
				return fail_set(f, E_CONFIG, "issuers: %s is there twice", name);
	}
	return OK;
}

enum err config_resolve(struct config *c, struct fail *f)
{
	enum err e;

	if (derive(c) != OK)
		return fail_set(f, E_NOMEM, "no memory for the configuration");
	e = check_derived(c, f);
	if (e != OK)
		return e;
	if (str_starts(str_c(c->store_url), STR("rqlite:")) && c->auth_master_key.n == 0)
		return fail_set(f, E_CONFIG, "auth.master_key: must be given with rqlite, the same on "
		    "every replica: `head -c32 /dev/urandom | base64` makes one");
	if (str_starts(str_c(c->routing_source), STR("nats:")) &&
	    c->nats_url == NULL)
		return fail_set(f, E_CONFIG, "routing.source: %s needs nats.url", c->routing_source);
	if (c->tls_client_ca != NULL && c->tls_cert == NULL)
		return fail_set(f, E_CONFIG, "tls.client_ca: given without tls.cert");
	if (c->auth_password_min_length > c->auth_password_max_length)
		return fail_set(f, E_CONFIG, "auth.password.min_length: %lld is more than auth.password.max_length, %lld",
		    (long long)c->auth_password_min_length, (long long)c->auth_password_max_length);
	if (c->upstream_max_connections < c->workers)
		return fail_set(f, E_CONFIG, "upstream.max_connections: %lld is less than one for each of the %lld workers",
		    (long long)c->upstream_max_connections, (long long)c->workers);
	if (strlen(c->upstream_health_path) > 255)
		return fail_set(f, E_CONFIG, "upstream.health.path: more than 255 bytes");
	e = check_issuers(c, f);
	if (e == OK)
		e = pair("tls.cert", c->tls_cert != NULL, "tls.key", c->tls_key != NULL, f);
	if (e == OK)
		e = pair("store.cert", c->store_cert != NULL, "store.key", c->store_key != NULL, f);
	if (e == OK)
		e = pair("upstream.cert", c->upstream_cert != NULL, "upstream.key",
		    c->upstream_key != NULL, f);
	if (e == OK)
		e = pair("mail.user", c->mail_user != NULL, "mail.password", c->mail_password.n > 0, f);
	if (e == OK)
		e = pair("oidc.google.client_id", c->oidc_google_client_id != NULL,
		    "oidc.google.client_secret", c->oidc_google_client_secret.n > 0, f);
	return e;
}

enum err config_keep_fixed(struct config *next, const struct config *cur,
    bool changed[CONFIG__COUNT])
{
	for (int i = 0; i < CONFIG__COUNT; i++) {
		const struct config_key *k = &config_keys[i];
		bool both_default = next->origin[i] == CONFIG_DEFAULT && cur->origin[i] == CONFIG_DEFAULT;

		changed[i] = false;
		if (k->reload)
			continue;
		changed[i] = !both_default && !config_value_equal(k, config_field(next, i),
		    config_field(cur, i));
		if (config_value_copy(k, config_field(next, i), config_field(cur, i)) != OK)
			return E_NOMEM;
		next->origin[i] = cur->origin[i];
	}
	return OK;
}

bool config_same(const struct config *a, const struct config *b)
{
	for (int i = 0; i < CONFIG__COUNT; i++)
		if (!config_value_equal(&config_keys[i], config_field((struct config *)a, i),
		    config_field((struct config *)b, i)))
			return false;
	return true;
}

const char *config_kind_name(enum config_kind k)
{
	static const char *const names[] = {
		[CONFIG_ADDRESS] = "address", [CONFIG_STRING] = "string", [CONFIG_PATH] = "path",
		[CONFIG_URL] = "url", [CONFIG_SECRET] = "secret", [CONFIG_BOOL] = "bool",
		[CONFIG_INT] = "int", [CONFIG_SIZE] = "size", [CONFIG_DURATION] = "duration",
		[CONFIG_ENUM] = "enum", [CONFIG_LIST] = "list", [CONFIG_NETWORKS] = "networks",
		[CONFIG_ISSUERS] = "issuers",
	};

	return names[k];
}

void config_dump(FILE *out)
{
	fputs("key\ttype\tdefault\tallowed\treload\thelp\n", out);
	for (int i = 0; i < CONFIG__COUNT; i++) {
		const struct config_key *k = &config_keys[i];

		fprintf(out, "%s\t%s\t%s\t%s\t%s\t%s\n", k->name, config_kind_name(k->kind),
		    k->def != NULL ? k->def : "", k->allowed != NULL ? k->allowed : "",
		    k->reload ? "yes" : "no", k->help);
	}
}
