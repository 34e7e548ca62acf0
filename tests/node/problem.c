#include "problem.h"

#include <stdarg.h>
#include <stdio.h>

const struct problem_row problem_rows[] = {
	[PROBLEM_NONE] = { 200, 0, "ok" },
	[PROBLEM_INVALID] = { 400, 3, "invalid_argument" },
	[PROBLEM_NOT_FOUND] = { 404, 12, "not_found" },
	[PROBLEM_METHOD] = { 405, 12, "method_not_allowed" },
	[PROBLEM_VERSION] = { 409, 10, "version_conflict" },
	[PROBLEM_COMMAND_REUSED] = { 409, 6, "command_id_reused" },
	[PROBLEM_DRAINING] = { 503, 14, "tenant_draining" },
	[PROBLEM_INJECTED] = { 503, 14, "injected_fault" },
};

enum problem verdict_set(struct verdict *v, enum problem problem, const char *fmt, ...)
{
	va_list ap;

	v->problem = problem;
	va_start(ap, fmt);
	vsnprintf(v->text, sizeof v->text, fmt, ap);
	va_end(ap);
	return problem;
}
