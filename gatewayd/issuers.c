#include "issuers.h"

#include "api/ctl.h"
#include "authn/oidc.h"
#include "authn/provider.h"
#include "base/config.h"

static enum err add_oidc(struct issuers *i, const struct config *config, struct fail *f)
{
	struct provider_source s = { .issuer = config->oidc_google_issuer };
	/* threads of the lane that may wait for the provider: most are always left for everything else */
	struct oidc_config c = { .ca = config->oidc_ca, .most = (int)(config->control_threads + 3) / 4 };

	if (config->oidc_google_client_id == NULL)
		return OK;
	if (s.issuer == NULL)
		return fail_set(f, E_CONFIG, "oidc.google.issuer: must not be empty");
	if (providers_add(i->providers, &s, &c.provider, f) != OK)
		return fail_wrap(f, "oidc.google.issuer");
	return oidc_new(&c, &i->oidc) == OK ? OK : fail_code(f, E_NOMEM);
}

enum err issuers_open(struct issuers *i, const struct config *config, struct fail *f)
{
	struct providers_config c = { .ca = config->oidc_ca };
	enum err e = providers_new(&c, &i->providers, f);

	return e == OK ? add_oidc(i, config, f) : e;
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
	*i = (struct issuers){ 0 };
}
