/* Runs one fuzz target without libFuzzer, as one unit test: each file of the corpus whole, cut off at each
 * length, and with bytes changed, the same ones in each run. What is found here is found by `make test` with
 * any compiler; to look for more is `make fuzz`'s. */
#include <dirent.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FILE_MAX (1 << 20)
#define CUTS 256 /* lengths tried of a file, at most */
#define EDITS 2048 /* edited copies of a file */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);
/* of some targets */
int LLVMFuzzerInitialize(int *argc, char ***argv) __attribute__((weak));

/* Each input lies in memory of its own size, for a sanitizer to see what is read behind it. */
static void try(const uint8_t *data, size_t n)
{
	uint8_t *copy = malloc(n > 0 ? n : 1);

	if (copy == NULL)
		abort();
	memcpy(copy, data, n);
	LLVMFuzzerTestOneInput(copy, n);
	free(copy);
}

/* Marsaglia, "Xorshift RNGs", 2003. */
static uint32_t next(uint32_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 17;
	return *state ^= *state << 5;
}

static void edit(uint8_t *data, size_t n, uint32_t *state)
{
	static const uint8_t telling[] = { 0, 0x7f, 0x80, 0xff, '"', '\\', '\r', '\n', ':', '=', '{', '-' };
	size_t at = next(state) % n, from;
	uint32_t r = next(state);

	switch (r % 3) {
	case 0:
		data[at] ^= (uint8_t)(1u << (r >> 8) % 8);
		break;
	case 1:
		data[at] = telling[(r >> 8) % sizeof telling];
		break;
	default: /* a piece of it once more, elsewhere */
		from = next(state) % n;
		memmove(data + at, data + from, (n - (at > from ? at : from) + 1) / 2);
	}
}

static void try_file(const uint8_t *data, size_t n)
{
	uint8_t *copy = malloc(n > 0 ? n : 1);
	size_t step = 1 + n / CUTS;
	uint32_t state = 2463534242;

	if (copy == NULL)
		abort();
	for (size_t cut = 0; cut < n; cut += step)
		try(data, cut);
	try(data, n);
	for (int i = 0; n > 0 && i < EDITS; i++) {
		memcpy(copy, data, n);
		for (uint32_t edits = 1 + next(&state) % 4; edits > 0; edits--)
			edit(copy, n, &state);
		try(copy, n);
	}
	free(copy);
}

static size_t read_file(const char *dir, const char *name, uint8_t *room)
{
	char path[1024];
	size_t n;
	FILE *f;

	snprintf(path, sizeof path, "%s/%s", dir, name);
	f = fopen(path, "rb");
	if (f == NULL) {
		perror(path);
		exit(1);
	}
	n = fread(room, 1, FILE_MAX, f);
	if (ferror(f) || !feof(f)) {
		fprintf(stderr, "%s: can't be read, or is above %d bytes\n", path, FILE_MAX);
		exit(1);
	}
	fclose(f);
	return n;
}

int main(int argc, char **argv)
{
	const char *slash = strrchr(argv[0], '/'), *name = slash != NULL ? slash + 1 : argv[0];
	static uint8_t room[FILE_MAX];
	struct dirent *d;
	char dir[512];
	int files = 0;
	DIR *found;

	if (LLVMFuzzerInitialize != NULL)
		LLVMFuzzerInitialize(&argc, &argv);
	snprintf(dir, sizeof dir, "tests/fuzz/corpus/%s", name);
	found = opendir(dir);
	if (found == NULL) {
		perror(dir);
		return 1;
	}
	while ((d = readdir(found)) != NULL) {
		if (d->d_name[0] == '.')
			continue;
		try_file(room, read_file(dir, d->d_name, room));
		files++;
	}
	closedir(found);
	if (files == 0) {
		fprintf(stderr, "%s: the corpus is empty\n", dir);
		return 1;
	}
	printf("[       OK ] %s (%d files of the corpus)\n", name, files);
	return 0;
}
