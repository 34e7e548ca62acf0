#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../../gwctl/lines.h"

/* A file without a name that holds the text, at its beginning. */
static int file_of(const char *text, size_t n)
{
	FILE *f = tmpfile();
	int fd;

	assert_non_null(f);
	assert_int_equal(fwrite(text, 1, n, f), n);
	assert_int_equal(fflush(f), 0);
	fd = dup(fileno(f));
	fclose(f);
	assert_true(fd >= 0);
	assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
	return fd;
}

static void expect(struct lines *l, const char *text, int64_t number)
{
	struct line line;
	bool more;

	assert_int_equal(lines_next(l, &line, &more, NULL), OK);
	assert_true(more);
	assert_true(str_eqc(line.text, text));
	assert_int_equal(line.number, number);
	assert_false(line.too_long);
}

static void expect_end(struct lines *l)
{
	struct line line;
	bool more = true;

	for (int i = 0; i < 2; i++) {
		assert_int_equal(lines_next(l, &line, &more, NULL), OK);
		assert_false(more);
	}
}

static void ends_of_all_kinds(void **state)
{
	static const char text[] = "\xef\xbb\xbf" "one\r\n\n\xef\xbb\xbftwo\nthree\r\rlast";
	int fd = file_of(text, sizeof text - 1);
	struct lines l;

	(void)state;
	assert_int_equal(lines_init(&l, fd, NULL), OK);
	expect(&l, "one", 1);
	expect(&l, "", 2);
	expect(&l, "\xef\xbb\xbftwo", 3);
	expect(&l, "three\r\rlast", 4);
	expect_end(&l);
	assert_int_equal(l.number, 4);
	assert_int_equal(l.offset, sizeof text - 1);
	lines_release(&l);
	close(fd);
}

static void any_byte(void **state)
{
	int fd = file_of("a\0b\xff\n", 5);
	struct lines l;
	struct line line;
	bool more;

	(void)state;
	assert_int_equal(lines_init(&l, fd, NULL), OK);
	assert_int_equal(lines_next(&l, &line, &more, NULL), OK);
	assert_true(str_eq(line.text, str_n("a\0b\xff", 4)));
	expect_end(&l);
	lines_release(&l);
	close(fd);
}

/* Lines around the limit, one after another in one file: what is passed over takes nothing of its
 * neighbours with it. */
static void lines_that_are_too_long(void **state)
{
	static const size_t sizes[] = { LINES_MAX - 1, LINES_MAX, LINES_MAX + 1, LINES_MAX + 2,
		LINES_MAX + 3, 3 * LINES_MAX, 5 };
	char *text = malloc(16 * LINES_MAX);
	size_t n = 0;
	struct lines l;
	struct line line;
	bool more;
	int fd;

	(void)state;
	assert_non_null(text);
	for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
		memset(text + n, 'a' + (int)i, sizes[i]);
		n += sizes[i];
		text[n++] = '\n';
	}
	fd = file_of(text, n);
	assert_int_equal(lines_init(&l, fd, NULL), OK);
	for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
		assert_int_equal(lines_next(&l, &line, &more, NULL), OK);
		assert_true(more);
		assert_int_equal(line.too_long, sizes[i] > LINES_MAX);
		assert_int_equal(line.text.n, line.too_long ? 0 : sizes[i]);
		if (!line.too_long)
			assert_int_equal(line.text.p[0], 'a' + (int)i);
	}
	expect_end(&l);
	assert_int_equal(l.offset, n);
	lines_release(&l);
	close(fd);
	free(text);
}

static void goes_on_where_it_was(void **state)
{
	int fd = file_of("one\ntwo\nthree\n", 14);
	struct lines l;
	int64_t offset;

	(void)state;
	assert_int_equal(lines_init(&l, fd, NULL), OK);
	expect(&l, "one", 1);
	offset = l.offset;
	expect(&l, "two", 2);
	assert_int_equal(lines_seek(&l, offset, 1, NULL), OK);
	expect(&l, "two", 2);
	expect(&l, "three", 3);
	expect_end(&l);
	lines_release(&l);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ends_of_all_kinds),
		cmocka_unit_test(any_byte),
		cmocka_unit_test(lines_that_are_too_long),
		cmocka_unit_test(goes_on_where_it_was),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
