/* What can be wrong with a call, once for both protocols: the table that maps each to an HTTP
 * status, a gRPC status and a stable code. Constant data; any thread.
 *
 * A version conflict is ABORTED, not FAILED_PRECONDITION: the gRPC status guide names a failed
 * test-and-set, where the caller should restart its read-modify-write, as the case for ABORTED. */
#ifndef NODE_PROBLEM_H
#define NODE_PROBLEM_H

enum problem {
	PROBLEM_NONE,
	PROBLEM_INVALID,
	PROBLEM_NOT_FOUND,
	PROBLEM_METHOD,
	PROBLEM_VERSION,
	PROBLEM_COMMAND_REUSED,
	PROBLEM_DRAINING,
	PROBLEM_INJECTED,
};

struct problem_row {
	int http, grpc;
	const char *code;
};
extern const struct problem_row problem_rows[];

/* A problem with the words for it; who fills it in owns nothing. */
struct verdict {
	enum problem problem;
	char text[240];
};

enum problem verdict_set(struct verdict *v, enum problem problem, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

#endif
