/* /admin/service-accounts and their credentials */
#include <stddef.h>

#include "api/bodies.h"
#include "api/commit.h"
#include "api/ctl.h"
#include "api/etag.h"
#include "api/handlers.h"
#include "api/resource.h"
#include "api/takeover.h"
#include "base/clock.h"
#include "base/rnd.h"
#include "base/secret.h"
#include "crypto/api_key.h"
#include "iam/credential.h"
#include "iam/service_account.h"
#include "iam/tenant.h"
#include "iam/write.h"

static void account_write(struct jsonw *w, const void *row)
{
	const struct service_account *sa = row;

	jsonw_obj(w);
	jsonw_kid(w, "id", sa->id);
	jsonw_kstr(w, "name", sa->name);
	jsonw_kstr(w, "tenant", sa->tenant);
	jsonw_kbool(w, "disabled", sa->disabled);
	jsonw_ktime(w, "created_at", sa->created_at);
	jsonw_ktime(w, "updated_at", sa->updated_at);
	etag_write(w, sa->version);
	jsonw_obj_end(w);
}

static enum err of_path(struct ctl *c, struct request *r, struct service_account *sa, struct fail *f)
{
	struct id id;

	if (!id_parse(r->param[0], &id))
		return fail_set(f, E_NOT_FOUND, "there is no such service account");
	return service_account_by_id(c->store, id, &r->arena, sa, f);
}

static enum err find(struct ctl *c, struct request *r, void *row, struct fail *f)
{
	return of_path(c, r, row, f);
}

static enum err list(struct ctl *c, struct request *r, const struct page *page, void **rows,
    size_t *n, struct fail *f)
{
	struct service_account_filter q = { .tenant = request_query(r, "tenant"),
		.after_set = page->has_id, .after = page->id, .limit = page_limit(page) };
	struct service_account *sa = NULL;
	enum err e = service_account_list(c->store, &q, &r->arena, &sa, n, f);

	*rows = sa;
	return e;
}

static enum err take_away(struct ctl *c, struct request *r, struct write *w, const void *row,
    struct fail *f)
{
	const struct service_account *sa = row;

	(void)c, (void)r, (void)f;
	service_account_delete(w, sa->id, sa->version);
	return OK;
}

/* ---- changes -------------------------------------------------------------------------------- */

struct account_create {
	struct body_str name, tenant;
};
const struct body_field body_service_account_create[] = {
	{ "name", BODY_T_STR, BODY_REQUIRED, offsetof(struct account_create, name), 1,
	  SERVICE_ACCOUNT_NAME_MAX },
	{ "tenant", BODY_T_STR, BODY_NULLABLE, offsetof(struct account_create, tenant), 1,
	  TENANT_ID_MAX, .check = tenant_id_is_valid, .rule = "must match [a-z0-9][a-z0-9-]{0,62}" },
	{ NULL },
};

enum err op_service_account_create(struct ctl *c, struct request *r, struct fail *f)
{
	int64_t now = clock_wall();
	struct service_account sa = { .id = id_new(now), .version = 1, .created_at = now,
		.updated_at = now };
	struct account_create b;
	struct write w;
	enum err e = body_read(r, body_service_account_create, &b, sizeof b, f);

	if (e != OK)
		return e;
	sa.name = b.name.v;
	sa.tenant = b.tenant.v;
	write_init(&w, &r->arena, now);
	service_account_insert(&w, &sa);
	e = resource_create(c, r, &w, &sa, f);
	return e == E_INVALID_FIELD ? body_invalid(f, "tenant", "does not exist") : e;
}

struct account_change {
	struct body_str name;
	struct body_bool disabled;
};
const struct body_field body_service_account_patch[] = {
	{ "name", BODY_T_STR, 0, offsetof(struct account_change, name), 1, SERVICE_ACCOUNT_NAME_MAX },
	{ "disabled", BODY_T_BOOL, 0, offsetof(struct account_change, disabled) },
	{ NULL },
};

static enum err edit(struct ctl *c, struct request *r, struct write *w, void *row, const void *change,
    struct fail *f)
{
	const struct account_change *b = change;
	struct service_account_patch p = { .set_name = b->name.set, .name = b->name.v,
		.set_disabled = b->disabled.set, .disabled = b->disabled.v };
	struct service_account *sa = row;

	(void)c, (void)r, (void)f;
	service_account_update(w, sa->id, sa->version, &p);
	if (p.set_name)
		sa->name = p.name;
	if (p.set_disabled)
		sa->disabled = p.disabled;
	sa->updated_at = w->now;
	sa->version++;
	return OK;
}

const struct resource service_account_rows = {
	.size = sizeof(struct service_account), .by = PAGE_BY_ID,
	.key = offsetof(struct service_account, id),
	.version = offsetof(struct service_account, version),
	.taken = "there is a service account with this name",
	.write = account_write, .find = find, .list = list, .remove = take_away,
	.change = body_service_account_patch, .change_size = sizeof(struct account_change), .edit = edit,
};

/* ---- credentials ---------------------------------------------------------------------------- */

static void write_credential(struct jsonw *w, const struct credential *cr, const char *secret)
{
	jsonw_obj(w);
	jsonw_kid(w, "id", cr->id);
	jsonw_kid(w, "service_account", cr->service_account);
	jsonw_kz(w, "kind", credential_kind_name(cr->kind));
	jsonw_kstr(w, "issuer", cr->issuer);
	jsonw_kstr(w, "subject", cr->subject);
	jsonw_ktime_or_null(w, "expires_at", cr->expires_at);
	jsonw_ktime_or_null(w, "last_used_at", cr->last_used_at);
	jsonw_ktime(w, "created_at", cr->created_at);
	if (secret != NULL)
		jsonw_kz(w, "secret", secret);
	etag_write(w, RESOURCE_FIXED);
	jsonw_obj_end(w);
}

static void credential_write(struct jsonw *w, const void *row)
{
	write_credential(w, row, NULL);
}

/* There are at most CREDENTIALS_MAX, so they are read all and the page cut out of them. */
static enum err list_credentials(struct ctl *c, struct request *r, const struct page *page,
    void **rows, size_t *n, struct fail *f)
{
	struct credential *cr = NULL;
	struct service_account sa;
	enum err e = of_path(c, r, &sa, f);

	if (e == OK)
		e = credential_list(c->store, sa.id, &r->arena, &cr, n, f);
	for (; e == OK && page->has_id && *n > 0 && memcmp(cr->id.b, page->id.b, sizeof cr->id.b) <= 0; cr++)
		--*n;
	*rows = cr;
	return e;
}

static enum err find_credential(struct ctl *c, struct request *r, void *row, struct fail *f)
{
	struct credential *cr = NULL;
	struct id account, id;
	size_t n = 0;
	enum err e = OK;

	if (id_parse(r->param[0], &account) && id_parse(r->param[1], &id))
		e = credential_list(c->store, account, &r->arena, &cr, &n, f);
	for (size_t i = 0; i < n; i++)
		if (id_eq(cr[i].id, id)) {
			*(struct credential *)row = cr[i];
			return OK;
		}
	return e != OK ? e : fail_set(f, E_NOT_FOUND, "there is no such credential");
}

static enum err take_credential_away(struct ctl *c, struct request *r, struct write *w, const void *row,
    struct fail *f)
{
	const struct credential *cr = row;

	(void)c, (void)r, (void)f;
	credential_delete(w, cr->service_account, cr->id);
	return OK;
}

const struct resource credential_rows = {
	.size = sizeof(struct credential), .by = PAGE_BY_ID, .key = offsetof(struct credential, id),
	.write = credential_write, .find = find_credential, .list = list_credentials,
	.remove = take_credential_away,
};

struct credential_create {
	struct body_str kind, issuer, subject;
	struct body_int expires_at;
};
static const char *const kind_words[] = { "secret", "api_key", "certificate", "jwt", NULL };
const struct body_field body_credential_create[] = {
	{ "kind", BODY_T_STR, BODY_REQUIRED, offsetof(struct credential_create, kind), 1, 16,
	  .words = kind_words, .rule = "must be secret, api_key, certificate or jwt" },
	{ "issuer", BODY_T_STR, BODY_NULLABLE, offsetof(struct credential_create, issuer), 1, 512 },
	{ "subject", BODY_T_STR, BODY_NULLABLE, offsetof(struct credential_create, subject), 1, 1000 },
	{ "expires_at", BODY_T_TIME, BODY_NULLABLE, offsetof(struct credential_create, expires_at) },
	{ NULL },
};

static bool has_subject(const struct credential *cr)
{
	return cr->kind == CREDENTIAL_CERTIFICATE || cr->kind == CREDENTIAL_JWT;
}

static enum err read_credential(struct request *r, int64_t now, struct credential *cr, struct fail *f)
{
	struct credential_create b;
	enum err e = body_read(r, body_credential_create, &b, sizeof b, f);

	if (e != OK)
		return e;
	while (!str_eqc(b.kind.v, credential_kind_name(cr->kind)))
		cr->kind++;
	cr->issuer = b.issuer.v;
	cr->subject = b.subject.v;
	cr->expires_at = b.expires_at.v;
	if (has_subject(cr) != (cr->subject.p != NULL))
		return body_invalid(f, "subject", cr->subject.p != NULL ? "is for a certificate or a jwt" :
		    "is required for a certificate and a jwt");
	if ((cr->kind == CREDENTIAL_JWT) != (cr->issuer.p != NULL))
		return body_invalid(f, "issuer", cr->issuer.p != NULL ? "is for a jwt" :
		    "is required for a jwt");
	if (cr->expires_at != 0 && cr->expires_at <= now)
		return body_invalid(f, "expires_at", "is in the past");
	return OK;
}

/* The secret in its form for the caller, and the hash that is kept; none where there is a subject. */
static bool make_secret(const struct credential *cr, char text[API_KEY_LEN],
    unsigned char hash[TOKEN_HASH])
{
	unsigned char random[TOKEN_RANDOM];

	if (has_subject(cr))
		return false;
	rnd_bytes(random, sizeof random);
	if (cr->kind == CREDENTIAL_API_KEY)
		api_key_make(cr->id, random, text, hash);
	else
		token_make(CREDENTIAL_PURPOSE, random, text, hash);
	secret_wipe(random, sizeof random);
	return true;
}

/* A credential that was read and its secret that was made; the same for each try. */
struct made {
	struct credential cr;
	unsigned char hash[TOKEN_HASH];
	char text[API_KEY_LEN];
	bool secret;
};

static enum err create_once(struct ctl *c, struct request *r, const struct made *m, struct fail *f)
{
	struct write w;
	struct jsonw j;
	enum err e;

	write_init(&w, &r->arena, m->cr.created_at);
	e = refuse_takeover(c, r, m->cr.service_account, &w, f);
	if (e != OK)
		return e;
	credential_insert(&w, &m->cr, m->secret ? m->hash : NULL);
	j = request_json(r, 201);
	write_credential(&j, &m->cr, m->secret ? m->text : NULL);
	e = commit(c, r, &w, f);
	if (e == E_LIMIT)
		return fail_set(f, E_CONFLICT, "a service account has at most %d credentials",
		    CREDENTIALS_MAX);
	return e == E_CONFLICT ? fail_set(f, e, "a credential or an identity has this subject already") : e;
}

enum err op_credential_create(struct ctl *c, struct request *r, struct fail *f)
{
	int64_t now = clock_wall();
	struct made m = { .cr = { .id = id_new(now), .created_at = now } };
	struct service_account sa;
	unsigned tries = 0;
	enum err e = of_path(c, r, &sa, f);

	if (e == OK)
		e = read_credential(r, now, &m.cr, f);
	if (e != OK)
		return e;
	m.cr.service_account = sa.id;
	m.secret = make_secret(&m.cr, m.text, m.hash);
	do {
		e = create_once(c, r, &m, f);
	} while (etag_again(r, e, &tries, f));
	secret_wipe(m.text, sizeof m.text);
	return e;
}
