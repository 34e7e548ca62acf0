/* What a password library does on some threads, with no gateway around it.
 * usage: hash-bench sodium|argon2 THREADS SECONDS [MEMORY_KIB PASSES]; prints hashes per second. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <argon2.h>
#include <sodium.h>

#define THREADS_MAX 256

static unsigned memory_kib = 19456, passes = 2;
static bool sodium;
static double end;
static atomic_long done;

static bool hash_once(void)
{
	static const unsigned char salt[16] = "sixteen bytes ok";
	unsigned char out[32];

	if (sodium)
		return crypto_pwhash_argon2id(out, 32, "password", 8, salt, passes,
		           (size_t)memory_kib * 1024, crypto_pwhash_argon2id_ALG_ARGON2ID13) == 0;
	return argon2id_hash_raw(passes, memory_kib, 1, "password", 8, salt, 16, out, 32) == ARGON2_OK;
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void *hash_on(void *arg)
{
	(void)arg;
	while (now() < end) {
		if (!hash_once()) {
			fprintf(stderr, "hash-bench: hashing failed\n");
			exit(1);
		}
		done++;
	}
	return NULL;
}

int main(int argc, char **argv)
{
	pthread_t t[THREADS_MAX];
	int n = argc > 3 ? atoi(argv[2]) : 0;
	double start, seconds = argc > 3 ? atof(argv[3]) : 0;

	if (n < 1 || n > THREADS_MAX || seconds <= 0 || sodium_init() < 0) {
		fprintf(stderr, "usage: hash-bench sodium|argon2 THREADS SECONDS [MEMORY_KIB PASSES]\n");
		return 2;
	}
	sodium = strcmp(argv[1], "sodium") == 0;
	memory_kib = argc > 4 ? (unsigned)atoi(argv[4]) : memory_kib;
	passes = argc > 5 ? (unsigned)atoi(argv[5]) : passes;
	start = now();
	end = start + seconds;
	for (int i = 0; i < n; i++)
		if (pthread_create(&t[i], NULL, hash_on, NULL) != 0)
			return 1;
	for (int i = 0; i < n; i++)
		pthread_join(t[i], NULL);
	printf("%.2f\n", (double)done / (now() - start));
	return 0;
}
