/* Verifies tokens with libjwt (its OpenSSL flavour): an implementation that shares no code with ours.
 * usage: libjwt-verify ALG PUBLIC.pem; one token a line on stdin, one answer a line on stdout: the
 * claims as JSON, or "refused". For tests alone. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jwt.h>

static int read_pem(const char *path, unsigned char *pem, size_t cap)
{
	FILE *f = fopen(path, "r");
	size_t n;

	if (f == NULL)
		return -1;
	n = fread(pem, 1, cap, f);
	fclose(f);
	return (int)n;
}

static void answer(const char *token, jwt_alg_t alg, const unsigned char *pem, int n)
{
	jwt_t *jwt = NULL;
	char *claims = NULL;

	if (jwt_decode(&jwt, token, pem, n) == 0 && jwt_get_alg(jwt) == alg)
		claims = jwt_get_grants_json(jwt, NULL);
	puts(claims != NULL ? claims : "refused");
	free(claims);
	jwt_free(jwt);
}

int main(int argc, char **argv)
{
	unsigned char pem[8192];
	char *line = NULL;
	size_t cap = 0;
	int n = argc == 3 ? read_pem(argv[2], pem, sizeof pem) : -1;

	if (n <= 0) {
		fprintf(stderr, "usage: libjwt-verify ALG PUBLIC.pem\n");
		return 2;
	}
	while (getline(&line, &cap, stdin) > 0) {
		line[strcspn(line, "\n")] = '\0';
		answer(line, jwt_str_alg(argv[1]), pem, n);
	}
	free(line);
	return 0;
}
