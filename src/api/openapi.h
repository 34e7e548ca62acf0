/* The OpenAPI 3.1 document, written from the operation table and the schemas: there is no other source,
 * so it cannot disagree with what runs. Any thread. */
#ifndef API_OPENAPI_H
#define API_OPENAPI_H

struct buf;

/* Appends the document. */
void openapi_write(struct buf *out);

#endif
