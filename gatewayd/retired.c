#include "retired.h"

#include <assert.h>

#include "base/config.h"
#include "base/heap.h"

enum err retired_reserve(struct retired **list)
{
	struct retired *r;

	if (*list != NULL && (*list)->config == NULL)
		return OK;
	r = heap_alloc(sizeof *r);
	if (r == NULL)
		return E_NOMEM;
	*r = (struct retired){ .next = *list };
	*list = r;
	return OK;
}

void retired_add_take(struct retired *list, struct config *c)
{
	assert(list->config == NULL);
	list->config = c;
}

void retired_free(struct retired *list)
{
	while (list != NULL) {
		struct retired *next = list->next;

		config_free(list->config);
		heap_free(list);
		list = next;
	}
}
