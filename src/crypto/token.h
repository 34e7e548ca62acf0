/* Opaque tokens that the store knows by their hash alone: for verifying an address, resetting a
 * password, answering a second factor, and as a service account's secret. 32 random bytes, shown
 * once as 43 characters of base64url. The purpose goes into the hash, so that a token of one purpose
 * is nothing for another. That much randomness needs no slow hash. Expiry and use are the store's.
 * Any thread. */
#ifndef CRYPTO_TOKEN_H
#define CRYPTO_TOKEN_H

#include "base/err.h"
#include "base/str.h"

#define TOKEN_RANDOM 32
#define TOKEN_LEN 44 /* with the NUL */
#define TOKEN_HASH 32

/* purpose: a constant of the caller's ("verify", "reset", "mfa"). random: from rnd_bytes. */
void token_make(const char *purpose, const unsigned char random[TOKEN_RANDOM],
    char text[TOKEN_LEN], unsigned char hash[TOKEN_HASH]);
/* The hash to look a presented token up by; E_TOKEN_INVALID when it does not look like one. */
enum err token_hash(const char *purpose, struct str text, unsigned char hash[TOKEN_HASH]);

#endif
