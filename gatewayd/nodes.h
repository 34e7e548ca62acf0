/* What the process knows of its nodes, and the thread that asks them how they are. Main thread but for
 * nodes_follow and nodes_write_metrics, which any thread may call. */
#ifndef GATEWAYD_NODES_H
#define GATEWAYD_NODES_H

#include <stdbool.h>

#include "base/err.h"

struct buf;
struct certs;
struct config;
struct fleet;
struct prober;
struct worker_snapshots;

struct nodes {
	struct fleet *fleet;
	struct prober *prober; /* NULL: nobody is asked (--check) */
};

enum err nodes_open(struct nodes *n, const struct config *config, const struct certs *certs, bool check);
/* Nodes and certificates as they are from now on; NULL in s: unchanged. */
void nodes_follow(struct nodes *n, const struct worker_snapshots *s);
void nodes_write_metrics(const struct nodes *n, struct buf *out);
/* Once no worker is left. Also after a failed open. */
void nodes_close(struct nodes *n);

#endif
