/* The answer to an HTTP request, made by a handler and written by the connection. Any thread. */
#ifndef NODE_ANSWER_H
#define NODE_ANSWER_H

#include "bytes.h"

#include <jansson.h>

struct tenant;

enum answer_end {
	END_KEEP,  /* the connection goes on, if the request allows it */
	END_CLOSE, /* FIN after the last byte */
	END_RESET, /* RST after the last byte */
};

struct answer {
	int status;
	struct slice constant; /* the whole answer, when it is constant */
	struct bytes body;     /* JSON */
	bool raw;              /* body is the whole answer: status line, headers and all */
	bool chunked;
	enum answer_end end;
	unsigned delay_ms;
	struct tenant *in_flight; /* counted out by answer_release */
};

/* Takes the JSON. */
void answer_json_take(struct answer *a, int status, json_t *json);
/* {"code","error","details"} */
void answer_problem(struct answer *a, int status, const char *code, const char *text);
void answer_write(const struct answer *a, bool head_only, bool keep_alive, struct bytes *out);
void answer_release(struct answer *a);

#endif
