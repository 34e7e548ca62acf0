/* QR codes as SVG, by libqrencode: for the otpauth URI of an enrolment. Any thread. */
#ifndef CRYPTO_QR_H
#define CRYPTO_QR_H

#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"

/* Appends one <svg> element, dark modules on white with the quiet zone of four modules that readers
 * want; it scales. E_LIMIT when the text does not fit a code (about 2,300 bytes) or `out`. */
enum err qr_svg(struct str text, struct buf *out);

#endif
