#include "crypto/password_policy.h"

#include <stdlib.h>
#include <string.h>

#include <jansson.h>
#include <unicase.h>
#include <zxcvbn.h>

#include "base/secret.h"

enum {
	LOCAL_MIN = 3, /* a shorter local part is contained in too much */
	WORD_MIN = 3,
	WORDS_MAX = 16,
	WORD_LEN = 64,
};

/* ---- the list ---- */

bool password_is_common(struct str password)
{
	const char *lo = password_common, *hi = password_common + password_common_len - 1;

	if (password.n == 0 || memchr(password.p, '\n', password.n) != NULL)
		return false;
	while (lo < hi) { /* both stand on a newline; the line sought begins behind one in [lo, hi) */
		const char *mid = lo + (hi - lo) / 2, *end;
		size_t n;
		int c;

		while (*mid != '\n') /* back to the line's start, which is not before lo */
			mid--;
		end = memchr(mid + 1, '\n', (size_t)(hi - mid));
		n = (size_t)(end - mid - 1);
		c = memcmp(mid + 1, password.p, n < password.n ? n : password.n);
		if (c == 0 && n == password.n)
			return true;
		if (c < 0 || (c == 0 && n < password.n))
			lo = end;
		else
			hi = mid;
	}
	return false;
}

/* ---- folding and words ---- */

/* Case-folded (Unicode), NUL-terminated, from malloc; NULL when out of memory. */
static char *fold(struct str s, size_t *n)
{
	uint8_t *u = u8_casefold((const uint8_t *)s.p, s.n, NULL, UNINORM_NFC, NULL, n);
	char *z = malloc(s.n == 0 ? 1 : *n + 1);

	if (z != NULL && (u != NULL || s.n == 0)) {
		if (s.n == 0)
			*n = 0;
		else
			memcpy(z, u, *n);
		z[*n] = '\0';
	} else {
		free(z);
		z = NULL;
	}
	if (u != NULL)
		secret_wipe(u, *n);
	free(u);
	return z;
}

static void wipe_free(char *z)
{
	if (z != NULL)
		secret_wipe(z, strlen(z));
	free(z);
}

static bool contains(const char *password, struct str part)
{
	return part.n >= LOCAL_MIN && memmem(password, strlen(password), part.p, part.n) != NULL;
}

/* The words of a text for zxcvbn, which takes NUL-terminated lower-case ones. */
struct words {
	char text[WORDS_MAX][WORD_LEN];
	const char *list[WORDS_MAX + 1];
	size_t n;
};

static bool in_word(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

static void add_words(struct words *w, const char *z)
{
	while (*z != '\0' && w->n < WORDS_MAX) {
		size_t n = 0;

		while (in_word(z[n]))
			n++;
		if (n >= WORD_MIN && n < WORD_LEN) {
			memcpy(w->text[w->n], z, n);
			w->text[w->n][n] = '\0';
			w->list[w->n] = w->text[w->n];
			w->n++;
		}
		z += n > 0 ? n : 1;
	}
}

/* ---- the decision ---- */

static enum err refuse(struct fail *f, const char *reason, const char *text)
{
	enum err e = fail_set(f, E_WEAK_PASSWORD, "%s", text);

	if (f != NULL)
		fail_details_take(f, json_pack("{s:s}", "reason", reason));
	return e;
}

static bool guessable(const char *password, const char *email, const char *name)
{
	struct words w = { .n = 0 };

	add_words(&w, email);
	add_words(&w, name);
	add_words(&w, "gateway gatewayd");
	w.list[w.n] = NULL;
	return ZxcvbnMatch(password, w.list, NULL) < PASSWORD_MIN_BITS;
}

/* All three in one case; password also as it is, because capitals count for guessing. */
static enum err decide(const char *password, const char *folded, const char *email,
    const char *name, struct fail *f)
{
	struct str domain, local = str_cut(str_c(email), '@', &domain);

	if (contains(folded, local) || contains(folded, str_c(email)))
		return refuse(f, "contains_email", "the password contains the e-mail address");
	if (password_is_common(str_c(folded)))
		return refuse(f, "common", "the password is one of the most common");
	if (guessable(password, email, name))
		return refuse(f, "guessable", "the password is quickly guessed");
	return OK;
}

enum err password_policy_check(struct str password, struct str email, struct str name,
    struct fail *f)
{
	size_t n = 0;
	char *plain = strndup(password.p != NULL ? password.p : "", password.n);
	char *folded = fold(password, &n), *mail = fold(email, &n), *who = fold(name, &n);
	enum err e;

	if (plain == NULL || folded == NULL || mail == NULL || who == NULL)
		e = fail_set(f, E_NOMEM, "%s", err_info(E_NOMEM)->text);
	else
		e = decide(plain, folded, mail, who, f);
	wipe_free(plain);
	wipe_free(folded);
	wipe_free(mail);
	wipe_free(who);
	return e;
}
