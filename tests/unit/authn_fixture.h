/* A worker's authentication with everything around it, on a real store: a user ada with a session,
 * a service account robot with one credential of each kind, one signing key. The test is the worker;
 * the loop's clock stands still but in tick_past. Not a test. */
#ifndef TESTS_AUTHN_FIXTURE_H
#define TESTS_AUTHN_FIXTURE_H

#include <stdatomic.h>

#include "authn/authn.h"
#include "authz/principal_cache.h"
#include "crypto/api_key.h"
#include "crypto/hasher.h"
#include "crypto/jwt.h"
#include "crypto/keyring.h"
#include "crypto/token.h"
#include "lane_fixture.h"
#include "obs/obs.h"
#include "request/request.h"
#include "store/change.h"
#include "store_fixture.h"

#define PASSWORD "correct horse battery staple" /* ada's */

struct world {
	struct fixture x;
	struct lane lane;
	struct obs_route *routes; /* all alike: nothing here looks at them */
	struct obs *obs;
	struct obs_worker *worker;
	struct hasher *hasher;
	struct principal_cache *principals;
	struct authn *authn;
	_Atomic bool basic_without_tls;
	struct keyring *keys; /* the test's own reference */
	struct keyring *keys_to_come; /* when authn asks to catch up; NULL: nothing new */
	struct loop_msg keys_msg;
	unsigned caught_up;
	struct id ada, sid, robot, key_id;
	char api_key[API_KEY_LEN], secret[TOKEN_LEN];
	int64_t now; /* the loop's wall time; it stands still but in tick */
};

int authn_setup(void **state);
int authn_teardown(void **state);

#define EXEC(w, ...) fixture_exec((w)->x.store, (struct store_stmt)STMT(__VA_ARGS__))
/* Writes a change row; its sequence. Telling the caches is the test's. */
int64_t change(struct world *w, enum change_kind kind, struct id id);
/* One more credential of the robot. */
void add_credential(struct world *w, struct id id, const char *kind, const unsigned char *hash,
    const char *subject);

struct keyring *new_keys(int64_t not_after);
/* Takes the reference. */
void set_keys(struct world *w, struct keyring *k);
/* Of a token that is good for five minutes. */
struct jwt_access claims_of(struct world *w);
/* "Bearer <token>" in z, which it returns. */
const char *bearer(struct world *w, const struct jwt_access *c, char z[4096]);

struct asked {
	struct request r; /* first */
	unsigned calls; /* of the callback */
	enum err e;
};
void asked_init(struct world *w, struct asked *c);
/* authorization may be NULL. As authn_request. */
enum err asked_start(struct world *w, struct asked *c, const char *authorization);
void asked_end(struct asked *c);
/* The outcome, now or later, and (may be NULL) whether it came at once. */
enum err ask(struct world *w, const char *authorization, bool *at_once);

/* How often the failure has been counted. */
long failures(struct world *w, const char *method, const char *reason);
/* Until the loop's clock has passed `wall`. */
void tick_past(struct world *w, int64_t wall);

#endif
