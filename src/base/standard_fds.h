/* Standard input, output and error of a program that was started without one of them. The first file or
 * socket that it opens would get the number that is free, and what is meant for people would end there:
 * a secret in a server's connection, a log line in a file. Main thread, before anything is opened. */
#ifndef BASE_STANDARD_FDS_H
#define BASE_STANDARD_FDS_H

/* Takes the numbers that are free, in a way that reading and writing fail as before. */
void standard_fds_keep(void);

#endif
