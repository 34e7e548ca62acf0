#include "crypto/digest.h"

#include <nettle/sha2.h>

void digest_sha256(struct str data, unsigned char out[SHA256_LEN])
{
	struct sha256_ctx c;

	sha256_init(&c);
	sha256_update(&c, data.n, (const uint8_t *)data.p);
	sha256_digest(&c, SHA256_LEN, out);
}
