/* Identifiers of events and commands: UUIDv7 (RFC 9562 §5.7), and the time they carry. Any thread.
 */
#ifndef NODE_UUID_H
#define NODE_UUID_H

#define UUID_TEXT 37
#define TIME_TEXT 25

void uuid_make(char out[UUID_TEXT]);
/* Now, as RFC 3339 UTC with milliseconds. */
void time_text(char out[TIME_TEXT]);

#endif
