/* What differs between two routing documents, as the admin API shows it. Pure. */
#ifndef API_ROUTING_DIFF_H
#define API_ROUTING_DIFF_H

#include "base/jsonw.h"
#include "routing/difference.h"

/* Writes an array of {"op":"add"|"remove"|"replace","path","from","to"}; path is a JSON pointer (RFC
 * 6901) to a section's entry; sections and entries in the order of their names, revision left out. */
void routing_diff_write(struct jsonw *w, const struct route_diff *d);

#endif
