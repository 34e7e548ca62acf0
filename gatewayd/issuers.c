#include "issuers.h"

#include "api/ctl.h"
#include "authn/issuer.h"
#include "authn/oidc.h"
#include "authn/provider.h"
#include "base/config.h"
#include "base/heap.h"
#include "crypto/jws.h"

static enum err add_oidc(struct issuers *i, const struct config *config, struct fail *f)
{
	struct provider_source s = { .issuer = config->oidc_google_issuer };
	/* threads of the lane that may wait for the provider: most are always left for everything else */
	struct oidc_config c = { .ca = config->oidc_ca, .most = (int)(config->control_threads + 3) / 4 };

	if (config->oidc_google_client_id == NULL)
		return OK;
	if (providers_add(i->providers, &s, &c.provider, f) != OK)
		return fail_wrap(f, "oidc.google.issuer");
	return oidc_new(&c, &i->oidc) == OK ? OK : fail_code(f, E_NOMEM);
}

static unsigned alg_bits(const struct config_list *algs)
{
	unsigned bits = 0;

	for (size_t i = 0; i < algs->n; i++)
		bits |= 1u << jws_alg_of(str_c(algs->v[i]));
	return bits;
}

/* Views into the configuration, which lives longer. */
static enum err add_tokens(struct issuers *i, const struct config_issuer *c, struct fail *f)
{
	struct provider_source s = { .issuer = c->issuer, .jwks = c->jwks };
	struct issuer *x = &i->tokens[i->ntokens++];

	*x = (struct issuer){
		.issuer = str_c(c->issuer),
		.rules = { str_c(c->audience), str_c(c->subject_claim), str_c(c->scope_claim) },
		.algs = alg_bits(&c->algs),
	};
	return providers_add(i->providers, &s, &x->provider, f) == OK ? OK :
	    fail_wrap(f, "issuers: %s", c->issuer);
}

static enum err add_all_tokens(struct issuers *i, const struct config_issuers *list, struct fail *f)
{
	enum err e = OK;

	i->tokens = heap_zalloc((list->n + 1) * sizeof *i->tokens);
	if (i->tokens == NULL)
		return fail_code(f, E_NOMEM);
	for (size_t k = 0; e == OK && k < list->n; k++)
		e = add_tokens(i, &list->v[k], f);
	return e;
}

enum err issuers_open(struct issuers *i, const struct config *config, struct fail *f)
{
	struct providers_config c = { .ca = config->oidc_ca };
	enum err e = providers_new(&c, &i->providers, f);

	if (e == OK)
		e = add_oidc(i, config, f);
	return e == OK ? add_all_tokens(i, &config->issuers, f) : e;
}

enum err issuers_start(struct issuers *i, struct ctl *ctl, struct fail *f)
{
	ctl->oidc = i->oidc;
	return providers_start(i->providers, f);
}

void issuers_stop(struct issuers *i)
{
	providers_stop(i->providers);
}

void issuers_close(struct issuers *i)
{
	oidc_free(i->oidc);
	providers_free(i->providers);
	heap_free(i->tokens);
	*i = (struct issuers){ 0 };
}
