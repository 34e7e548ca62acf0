/* What differs between two routing documents. Pure. */
#ifndef API_ROUTING_DIFF_H
#define API_ROUTING_DIFF_H

#include "base/err.h"
#include "base/jsonw.h"
#include "base/str.h"

/* Writes an array of {"op":"add"|"remove"|"replace","path","from","to"}; path is a JSON pointer (RFC
 * 6901) to a section's entry; sections and entries in the order of their names, revision left out. */
enum err routing_diff_write(struct jsonw *w, struct str from, struct str to);

#endif
