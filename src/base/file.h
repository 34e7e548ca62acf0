/* What is the same wherever a file is written. Any thread. */
#ifndef BASE_FILE_H
#define BASE_FILE_H

#include <stdbool.h>

#include "base/str.h"

/* All of s, also where write(2) takes only a part or is interrupted. False: errno says why. */
bool file_write(int fd, struct str s);

#endif
