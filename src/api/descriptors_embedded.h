/* The FileDescriptorSet of the services on listen.grpc, as the build made it from schema/proto. Constant
 * data: any thread. */
#ifndef API_DESCRIPTORS_EMBEDDED_H
#define API_DESCRIPTORS_EMBEDDED_H

#include "base/str.h"

extern const struct str descriptors_embedded;

#endif
