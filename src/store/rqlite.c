#include "store/engine.h"
enum err rqlite_open(struct engine **e, const struct store_config *c, const char *rest,
    struct meter *m, struct fail *f)
{
	(void)e, (void)c, (void)m;
	return fail_set(f, E_CONFIG, "rqlite:%s: this build has no rqlite engine", rest);
}
