#include "crypto/qr.h"

#include <errno.h>
#include <qrencode.h>

#include "base/secret.h"

enum { QUIET = 4 };

/* One row as runs of dark modules: "M x y h length v1 h-length z" each. */
static void add_row(struct buf *out, const unsigned char *row, int width, int y)
{
	for (int x = 0, run; x < width; x += run + 1) {
		for (run = 0; x + run < width && (row[x + run] & 1) != 0; run++)
			;
		if (run > 0)
			(void)buf_printf(out, "M%d %dh%dv1h-%dz", x + QUIET, y + QUIET, run, run);
	}
}

enum err qr_svg(struct str text, struct buf *out)
{
	QRcode *q = QRcode_encodeData((int)text.n, (const unsigned char *)text.p, 0, QR_ECLEVEL_M);
	int side;

	if (q == NULL)
		return errno == ENOMEM ? E_NOMEM : E_LIMIT;
	side = q->width + 2 * QUIET;
	(void)buf_printf(out, "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\" "
	                      "shape-rendering=\"crispEdges\"><path fill=\"#fff\" d=\"M0 0h%dv%dH0z\"/>"
	                      "<path d=\"", side, side, side, side);
	for (int y = 0; y < q->width; y++)
		add_row(out, q->data + (size_t)y * (size_t)q->width, q->width, y);
	(void)buf_addz(out, "\"/></svg>");
	secret_wipe(q->data, (size_t)q->width * (size_t)q->width);
	QRcode_free(q);
	return buf_err(out);
}
