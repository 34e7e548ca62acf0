/* Password hashes of elsewhere: password_hash_check. What it lets in must be of a form that is known, and
 * cost no more than is said; the parameters are read again here, by other means. What is cheap is then
 * verified, which must not let a fixed password in. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "crypto/password.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

#define CHEAP_KIB 64

/* Memory in KiB and that times passes, or parallelism. */
static void cost(const char *z, unsigned long long *memory, unsigned long long *work)
{
	unsigned long long a = 0, b = 0, c = 0, packed = 0;
	const char *m = strstr(z, "$m=");

	if (m != NULL && sscanf(m, "$m=%llu,t=%llu", &a, &b) == 2) {
		*memory = a;
		*work = a * b;
		return;
	}
	if (sscanf(z, "$scrypt$ln=%llu,r=%llu,p=%llu", &a, &b, &c) != 3) {
		if (sscanf(z, "$s%*1[01]$%llx$", &packed) != 1)
			abort();
		a = packed >> 16;
		b = packed >> 8 & 255;
		c = packed & 255;
	}
	*memory = (128 * b << a) >> 10;
	*work = *memory * c;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static const struct password_params want = { .memory_kib = 8, .iterations = 1, .parallelism = 1 };
	char *z = malloc(n + 1);
	unsigned long long memory, work;
	struct fail f = { 0 };
	bool weaker;

	memcpy(z, data, n);
	z[n] = '\0';
	if (password_hash_check(str_n(z, n), &f) == OK) {
		cost(z, &memory, &work);
		if (memory > PASSWORD_IMPORT_MIB << 10 || work > PASSWORD_IMPORT_WORK_MIB << 10)
			abort();
		if (work <= CHEAP_KIB && password_verify(STR("no such password"), str_n(z, n), &want,
		    &weaker) == OK)
			abort();
	} else if (f.text[0] == '\0') {
		abort();
	}
	fail_clear(&f);
	free(z);
	return 0;
}
