#include "obs/process.h"

#include <dirent.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/buf.h"
#include "obs/obs.h"

static long resident_bytes(void)
{
	FILE *f = fopen("/proc/self/statm", "re");
	long pages = 0;

	if (f == NULL)
		return 0;
	if (fscanf(f, "%*s %ld", &pages) != 1)
		pages = 0;
	fclose(f);
	return pages * sysconf(_SC_PAGESIZE);
}

static long open_fds(void)
{
	DIR *d = opendir("/proc/self/fd");
	long n = -3; /* ".", ".." and the directory itself */

	if (d == NULL)
		return 0;
	while (readdir(d) != NULL)
		n++;
	closedir(d);
	return n;
}

void process_write(int64_t started, struct buf *out)
{
	struct rusage u;
	struct rlimit fds;

	getrusage(RUSAGE_SELF, &u);
	getrlimit(RLIMIT_NOFILE, &fds);
	obs_family(out, "process_cpu_seconds_total");
	buf_printf(out, "process_cpu_seconds_total %.3f\n",
	    (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
	    (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6);
	obs_family(out, "process_resident_memory_bytes");
	buf_printf(out, "process_resident_memory_bytes %ld\n", resident_bytes());
	obs_family(out, "process_open_fds");
	buf_printf(out, "process_open_fds %ld\n", open_fds());
	obs_family(out, "process_max_fds");
	buf_printf(out, "process_max_fds %llu\n", (unsigned long long)fds.rlim_cur);
	obs_family(out, "process_start_time_seconds");
	buf_printf(out, "process_start_time_seconds %.3f\n", (double)started / 1e6);
}
