#include "upstream/budget.h"

static void pay_in(struct budget *b, int64_t *earned)
{
	int64_t room = BUDGET_MAX - atomic_load_explicit(&b->tokens, memory_order_relaxed);

	if (room > 0) /* full, as it mostly is, it is only read */
		atomic_fetch_add_explicit(&b->tokens, *earned < room ? *earned : room, memory_order_relaxed);
	*earned = 0;
}

void budget_earn(struct budget *b, int64_t *earned, unsigned percent)
{
	*earned += (int64_t)percent * BUDGET_RETRY / 100;
	if (*earned >= BUDGET_RETRY)
		pay_in(b, earned);
}

bool budget_spend(struct budget *b, int64_t *earned)
{
	int64_t has;

	pay_in(b, earned);
	has = atomic_load_explicit(&b->tokens, memory_order_relaxed);
	while (has >= BUDGET_RETRY)
		if (atomic_compare_exchange_weak_explicit(&b->tokens, &has, has - BUDGET_RETRY,
		    memory_order_relaxed, memory_order_relaxed))
			return true;
	return false;
}
