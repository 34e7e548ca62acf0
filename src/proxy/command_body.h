/* The JSON body of a command (CONTRACT 3), read and checked; the payload stays where it stands. Worker
 * thread. */
#ifndef PROXY_COMMAND_BODY_H
#define PROXY_COMMAND_BODY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"
#include "request/header.h"

#define COMMAND_METADATA 64 /* entries at most */

struct command_body {
	struct str command_id;   /* STR_NONE: absent or null */
	struct str null_id;      /* that null, in the text */
	struct str command_type;
	struct str payload;      /* raw JSON; STR_NONE: absent */
	bool has_expected_version;
	uint64_t expected_version;
	struct header metadata[COMMAND_METADATA]; /* key and value */
	size_t nmetadata;
	size_t members_at;       /* behind the opening brace of the text */
	bool has_members;
	struct str text;         /* all of it */
};

/* `text` is kept as views. E_BAD_JSON, E_UNKNOWN_FIELD, E_INVALID_FIELD, each with its place or name. */
enum err command_body_read(struct arena *a, struct str text, struct command_body *c, struct fail *f);
/* The text with command_id put in; for nodes that speak HTTP. .p NULL: out of memory. */
struct str command_body_with_id(struct arena *a, const struct command_body *c, struct str id);
/* A UUID, or 1 to 128 visible ASCII characters. */
bool command_id_ok(struct str id);

#endif
