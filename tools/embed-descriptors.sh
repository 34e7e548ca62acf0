#!/bin/sh
# Prints a C file with the FileDescriptorSet of the proto files named on the command line, relative to
# schema/proto, and of all that they import: for server reflection.
set -eu
cd "$(dirname "$0")/../schema/proto"
set_=$(mktemp)
trap 'rm -f "$set_"' EXIT
protoc --proto_path=. --include_imports --descriptor_set_out="$set_" "$@"
echo '/* generated from schema/proto/ by tools/embed-descriptors.sh */'
echo '#include "api/descriptors_embedded.h"'
echo 'static const unsigned char bytes[] = {'
od -An -v -tx1 "$set_" | sed 's/ \([0-9a-f][0-9a-f]\)/0x\1,/g'
echo '0};'
echo 'const struct str descriptors_embedded = { (const char *)bytes, sizeof bytes - 1 };'
