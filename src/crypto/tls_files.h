/* What TLS reads from files, into GnuTLS credentials of either side: a certificate chain with its key,
 * and the authorities that the other side is held to. Failures name the file. Any thread. */
#ifndef CRYPTO_TLS_FILES_H
#define CRYPTO_TLS_FILES_H

#include <gnutls/gnutls.h>
#include <stdint.h>

#include "base/err.h"

/* PEM. *expires (may be NULL): when the first certificate of the chain does, wall, microseconds. A
 * certificate that is not valid now is only warned of. E_CONFIG, E_NOMEM. */
enum err tls_files_pair(gnutls_certificate_credentials_t cred, const char *cert, const char *key,
    int64_t now, int64_t *expires, struct fail *f);
/* PEM; at least one certificate. E_CONFIG, E_NOMEM. */
enum err tls_files_authorities(gnutls_certificate_credentials_t cred, const char *file, struct fail *f);

#endif
