/* Configuration: one table (config.def) defines every key; `struct config` has one typed field for
 * each, filled from defaults, a YAML file, the environment and -o, in that order; later wins. Which
 * keys depend on which is known here (config_resolve), what a key means is not.
 *
 * A config is built by one thread and immutable from then on: any thread may read it. */
#ifndef BASE_CONFIG_H
#define BASE_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/cidr.h"
#include "base/err.h"
#include "base/secret.h"

struct config_addr {
	char host[256]; /* name, IPv4, or IPv6 without brackets */
	uint16_t port;  /* as configured; 0: any */
	uint16_t bound; /* set by whoever listens: the port in use; 0 until then */
};

struct config_list {
	char **v;
	size_t n;
};

struct config_networks {
	struct cidr *v;
	size_t n;
};

struct config_issuer {
	char *issuer, *audience; /* required */
	char *jwks;              /* URL, or path of a file; NULL: the issuer says where (discovery) */
	char *subject_claim;     /* default sub */
	char *scope_claim;       /* default scope */
	struct config_list algs; /* of RS256, PS256, ES256, EdDSA; default ES256 and RS256 */
};

struct config_issuers {
	struct config_issuer *v;
	size_t n;
};

enum config_signup { SIGNUP_OPEN, SIGNUP_VERIFY, SIGNUP_OFF };
enum config_log_format { LOG_FORMAT_JSON, LOG_FORMAT_TEXT };

/* The type of a field by its kind. Optional text and paths are NULL when not given; sizes are bytes,
 * durations microseconds, an ENUM the position of its word. */
#define CONFIG_FIELD_ADDRESS struct config_addr
#define CONFIG_FIELD_STRING char *
#define CONFIG_FIELD_PATH char *
#define CONFIG_FIELD_URL char *
#define CONFIG_FIELD_SECRET struct secret
#define CONFIG_FIELD_BOOL bool
#define CONFIG_FIELD_INT int64_t
#define CONFIG_FIELD_SIZE int64_t
#define CONFIG_FIELD_DURATION int64_t
#define CONFIG_FIELD_ENUM int
#define CONFIG_FIELD_LIST struct config_list
#define CONFIG_FIELD_NETWORKS struct config_networks
#define CONFIG_FIELD_ISSUERS struct config_issuers

enum config_kind {
	CONFIG_ADDRESS, CONFIG_STRING, CONFIG_PATH, CONFIG_URL, CONFIG_SECRET, CONFIG_BOOL, CONFIG_INT,
	CONFIG_SIZE, CONFIG_DURATION, CONFIG_ENUM, CONFIG_LIST, CONFIG_NETWORKS, CONFIG_ISSUERS
};

enum config_id {
#define K(field, ...) CONFIG_ID_##field,
#include "base/config.def"
#undef K
	CONFIG__COUNT
};

enum config_origin { CONFIG_DEFAULT, CONFIG_FILE, CONFIG_ENVIRONMENT, CONFIG_OVERRIDE };

struct config {
#define K(field, name, kind, ...) CONFIG_FIELD_##kind field;
#include "base/config.def"
#undef K
	enum config_origin origin[CONFIG__COUNT]; /* who set the value that holds */
};

struct config_key {
	const char *name;
	enum config_kind kind;
	const char *def; /* text; NULL: none or derived */
	const char *allowed; /* as in config.def */
	bool reload; /* SIGHUP may change it */
	const char *help;
	size_t offset; /* of its field in struct config */
};
extern const struct config_key config_keys[CONFIG__COUNT];

/* All defaults, nothing derived yet. NULL: no memory. */
struct config *config_new(void);
void config_free(struct config *c);

/* Puts the file (NULL: none), the environment ("GATEWAYD_LISTEN_HTTP=...", or the name of a file
 * with the value in GATEWAYD_LISTEN_HTTP_FILE) and the overrides ("listen.http=...") onto c. E_CONFIG
 * names the first fault (place, key, value, what is allowed) in the text and all of them in
 * details.faults. Derived keys still wait for config_resolve. */
enum err config_load(struct config *c, const char *file, char *const *overrides, size_t n,
    char **environ, struct fail *f);

/* Fills what depends on other keys and checks keys against each other. May be repeated: the derived
 * auth.issuer follows listen_http.bound once it is known. */
enum err config_resolve(struct config *c, struct fail *f);

/* For SIGHUP, between config_load and config_resolve of `next`: where a key that cannot be reloaded
 * differs, changed[id] becomes true; every such key keeps cur's value. */
enum err config_keep_fixed(struct config *next, const struct config *cur,
    bool changed[CONFIG__COUNT]);

/* Whether every key has the same value. */
bool config_same(const struct config *a, const struct config *b);

/* The table as tab-separated lines under a line of column names: key, type, default, allowed,
 * reload, help. */
void config_dump(FILE *out);

/* What `gatewayd --dump config` and error messages call the kind. */
const char *config_kind_name(enum config_kind k);

#endif
