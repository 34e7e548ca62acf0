#include "base/standard_fds.h"

#include <fcntl.h>
#include <unistd.h>

void standard_fds_keep(void)
{
	/* the lowest free number is taken, so each is taken by its own turn */
	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
		if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY) < 0)
			_exit(1);
}
