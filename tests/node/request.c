#include "request.h"

#include <ctype.h>

enum { MORE = -1, DONE = 0 };

/* RFC 9110 §5.6.2 */
static bool is_token_char(unsigned char c)
{
	static const char other[] = "!#$%&'*+-.^_`|~";

	return isalnum(c) || (c && strchr(other, c));
}

static bool is_token(struct slice s)
{
	for (size_t i = 0; i < s.len; i++)
		if (!is_token_char((unsigned char)s.data[i]))
			return false;
	return s.len > 0;
}

/* RFC 9110 §5.5: visible characters, obs-text, space and tab */
static bool is_field_value(struct slice s)
{
	for (size_t i = 0; i < s.len; i++) {
		unsigned char c = (unsigned char)s.data[i];
		if ((c < 0x20 && c != '\t') || c == 0x7f)
			return false;
	}
	return true;
}

/* Takes the line that starts at *at, without its CRLF. */
static int take_line(const char *data, size_t len, size_t *at, struct slice *line)
{
	const char *start = data + *at, *nl = memchr(start, '\n', len - *at);

	if (!nl)
		return MORE;
	if (nl == start || nl[-1] != '\r')
		return 400;
	*line = (struct slice){ start, (size_t)(nl - start) - 1 };
	*at += line->len + 2;
	return DONE;
}

static int request_line(struct request *r, struct slice line)
{
	static const char version[] = " HTTP/1.";
	const char *space = memchr(line.data, ' ', line.len);
	size_t tail = sizeof version - 1 + 1;

	if (!space || line.len < (size_t)(space - line.data) + 1 + tail)
		return 400;
	r->method = (struct slice){ line.data, (size_t)(space - line.data) };
	r->target = (struct slice){ space + 1, line.len - r->method.len - 1 - tail };
	if (!is_token(r->method) || !r->target.len || memchr(r->target.data, ' ', r->target.len))
		return 400;
	if (memcmp(r->target.data + r->target.len, version, sizeof version - 1))
		return 505;
	for (size_t i = 0; i < r->target.len; i++)
		if (!isgraph((unsigned char)r->target.data[i]))
			return 400;
	switch (line.data[line.len - 1]) {
	case '1':
		r->keep_alive = true;
		return DONE;
	case '0':
		return DONE;
	default:
		return 505;
	}
}

static int header_line(struct header *h, struct slice line)
{
	const char *colon = memchr(line.data, ':', line.len);

	if (!colon)
		return 400;
	h->name = (struct slice){ line.data, (size_t)(colon - line.data) };
	h->value = (struct slice){ colon + 1, line.len - h->name.len - 1 };
	while (h->value.len && (*h->value.data == ' ' || *h->value.data == '\t'))
		h->value.data++, h->value.len--;
	while (h->value.len &&
	       (h->value.data[h->value.len - 1] == ' ' || h->value.data[h->value.len - 1] == '\t'))
		h->value.len--;
	return is_token(h->name) && is_field_value(h->value) ? DONE : 400;
}

static int read_number(struct slice s, unsigned base, size_t max, size_t *out)
{
	size_t n = 0;

	if (!s.len)
		return 400;
	for (size_t i = 0; i < s.len; i++) {
		unsigned char c = (unsigned char)s.data[i];
		if (base == 16 ? !isxdigit(c) : !isdigit(c))
			return 400;
		n = n * base + (unsigned)(isdigit(c) ? c - '0' : tolower(c) - 'a' + 10);
		if (n > max)
			return 413;
	}
	*out = n;
	return DONE;
}

struct framing {
	unsigned hosts, lengths, encodings;
};

/* What the head says about how the message ends (RFC 9112 §6.3) and about the connection. */
static int note_header(struct request *r, const struct header *h, struct framing *f)
{
	switch (h->name.len) {
	case 4:
		f->hosts += slice_is_nocase(h->name, "host");
		return DONE;
	case 6:
		if (slice_is_nocase(h->name, "expect"))
			r->expect_continue = slice_is_nocase(h->value, "100-continue");
		return DONE;
	case 10:
		if (slice_is_nocase(h->name, "connection")) {
			if (slice_is_nocase(h->value, "close"))
				r->keep_alive = false;
			else if (slice_is_nocase(h->value, "keep-alive"))
				r->keep_alive = true;
		}
		return DONE;
	case 14:
		if (!slice_is_nocase(h->name, "content-length"))
			return DONE;
		f->lengths++;
		return read_number(h->value, 10, REQUEST_MAX_BODY, &r->content_length);
	case 17:
		if (!slice_is_nocase(h->name, "transfer-encoding"))
			return DONE;
		f->encodings++;
		r->chunked = slice_is_nocase(h->value, "chunked");
		return r->chunked ? DONE : 501;
	default:
		return DONE;
	}
}

int request_head(struct request *r, const char *data, size_t len)
{
	struct framing f = { 0 };
	struct slice line;
	size_t at = 0;
	int rc = take_line(data, len, &at, &line);

	r->nheaders = r->head_len = r->content_length = 0;
	r->chunked = r->keep_alive = r->expect_continue = false;
	if (!rc)
		rc = request_line(r, line);
	while (!rc && !(rc = take_line(data, len, &at, &line)) && line.len) {
		if (r->nheaders == REQUEST_MAX_HEADERS)
			return 431;
		rc = header_line(&r->headers[r->nheaders], line);
		if (!rc)
			rc = note_header(r, &r->headers[r->nheaders++], &f);
	}
	if (rc == MORE && len > REQUEST_MAX_HEAD)
		return 431;
	if (rc)
		return rc;
	if (f.hosts != 1 || f.lengths > 1 || f.encodings > 1 || (f.lengths && f.encodings))
		return 400;
	r->head_len = at;
	return DONE;
}

static int chunk_size(const char *data, size_t len, size_t *at, size_t *size)
{
	struct slice line;
	const char *ext;
	int rc = take_line(data, len, at, &line);

	if (rc)
		return rc;
	ext = memchr(line.data, ';', line.len);
	if (ext)
		line.len = (size_t)(ext - line.data);
	return read_number(line, 16, REQUEST_MAX_BODY, size);
}

static int trailers(const char *data, size_t len, size_t *at)
{
	struct header h;
	struct slice line;
	int rc;

	while (!(rc = take_line(data, len, at, &line)) && line.len)
		if ((rc = header_line(&h, line)))
			return rc;
	return rc;
}

int request_chunks(const char *data, size_t len, struct bytes *body, size_t *used)
{
	size_t at = 0, size;
	int rc;

	body->len = 0;
	for (;;) {
		if ((rc = chunk_size(data, len, &at, &size)))
			return rc;
		if (!size)
			break;
		if (len - at < size + 2)
			return MORE;
		if (memcmp(data + at + size, "\r\n", 2))
			return 400;
		if (body->len + size > REQUEST_MAX_BODY)
			return 413;
		bytes_add(body, data + at, size);
		at += size + 2;
	}
	rc = trailers(data, len, &at);
	*used = at;
	return rc;
}

struct slice request_header(const struct request *r, const char *name)
{
	for (size_t i = 0; i < r->nheaders; i++)
		if (slice_is_nocase(r->headers[i].name, name))
			return r->headers[i].value;
	return (struct slice){ 0 };
}
