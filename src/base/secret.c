#include "base/secret.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* Each secret has pages of its own: locked where the limit allows, left out of core dumps. */
static size_t pages(size_t n)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);

	return (n + page) / page * page;
}

enum err secret_set(struct secret *s, const void *p, size_t n)
{
	unsigned char *m = mmap(NULL, pages(n), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
	    -1, 0);

	if (m == MAP_FAILED)
		return E_NOMEM;
	(void)madvise(m, pages(n), MADV_DONTDUMP);
	(void)mlock(m, pages(n));
	memcpy(m, p, n);
	secret_release(s);
	s->p = m;
	s->n = n;
	return OK;
}

void secret_release(struct secret *s)
{
	if (s->p != NULL) {
		secret_wipe(s->p, s->n);
		munmap(s->p, pages(s->n));
	}
	s->p = NULL;
	s->n = 0;
}

void secret_wipe(void *p, size_t n)
{
	if (p != NULL)
		explicit_bzero(p, n);
}

bool secret_eq(struct str a, struct str b)
{
	unsigned char d = 0;

	if (a.n != b.n)
		return false;
	for (size_t i = 0; i < a.n; i++)
		d |= (unsigned char)(a.p[i] ^ b.p[i]);
	__asm__ volatile("" : "+r"(d));
	return d == 0;
}
