/* Finding things in the FileDescriptorSet that is embedded (google/protobuf/descriptor.proto): files by name
 * and by what they declare, and the services that this server serves. Pure: any thread. */
#ifndef API_DESCRIPTOR_H
#define API_DESCRIPTOR_H

#include <stdbool.h>

#include "base/str.h"

/* The FileDescriptorProto of that name; .p NULL: there is none. */
struct str descriptor_file(struct str name);
/* Of the file that declares the full name: a message, field, enum, value, service, method, extension. */
struct str descriptor_file_of(struct str symbol);
/* Whether `name` is the full name of a message. */
bool descriptor_is_message(struct str name);
/* Calls each with the full name of every service that the operation table has methods of. */
void descriptor_services(void (*each)(void *arg, struct str name), void *arg);

#endif
