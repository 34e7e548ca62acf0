/* Idempotency-Key on admin POSTs: the same key and request of the same principal within 24 h has the same
 * answer and is done once, another request with that key is refused. The record is written in the
 * batch of the mutation itself, as its first guard: of two replicas that do the same thing at once
 * one commits, the other finds the record. Only success is remembered. Answers are sealed, for some
 * of them show a secret. Owns the table `idempotency`. Control lane. */
#ifndef API_IDEMPOTENCY_H
#define API_IDEMPOTENCY_H

#include <stdbool.h>

#include "base/err.h"

struct ctl;
struct request;
struct write;

#define IDEMPOTENCY_KEY_MAX 128

/* Before the handler. *answered: the reply has been set from the record. E_IDEMPOTENCY_CONFLICT: the
 * key stands for another request. E_BAD_REQUEST: it is not 1 to 128 visible ASCII characters. Does
 * nothing for a request without the header, or one that is no admin POST. */
enum err idempotency_begin(struct ctl *c, struct request *r, bool *answered, struct fail *f);
/* Puts the guard and the record, with the reply as it stands, in front of the write. */
void idempotency_record(struct ctl *c, struct request *r, struct write *w);
/* The write failed with E_IDEMPOTENCY_CONFLICT: somebody did the same at this moment. */
enum err idempotency_answer(struct ctl *c, struct request *r, struct fail *f);

#endif
