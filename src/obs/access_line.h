/* One line of the access log, appended to a buffer in the form that log.format asks for. What it says of a
 * request is the caller's: nothing is left out or masked here. Any thread. */
#ifndef OBS_ACCESS_LINE_H
#define OBS_ACCESS_LINE_H

struct buf;
struct obs_request;

/* op: name of the operation. A line that does not fit leaves b->failed set, and a part of itself. */
void access_line_json(struct buf *b, const struct obs_request *r, const char *op);
void access_line_text(struct buf *b, const struct obs_request *r, const char *op);

#endif
