/*
 * Between the program and its disk: loaded into the real server by LD_PRELOAD,
 * this records every call by which SQLite changes files below a folder, in the
 * order in which they took effect, and lets chosen ones fail.
 *
 * TORTURE_DIR      the folder whose files are watched
 * TORTURE_LOG      the recording, to which records are appended (optional)
 * TORTURE_CONTROL  a file that is mapped and says what fails (optional)
 *
 * A record is: op, failed (one byte each), length of the name (2 bytes), length
 * of the data (4), offset (8), all in the machine's order; then name and data.
 * Ops: C created, W written, T truncated to offset, S synced, D folder synced,
 * U unlinked, R renamed (the data is the new name). The reader may append
 * records of its own: one append is one write, so they never mix.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

/* What the tests write into the control file. */
struct control {
	uint32_t ops;    /* which calls: 1 write, 2 sync, 4 truncate, 8 unlink, 16 open */
	uint32_t error;  /* what they fail with */
	uint32_t skip;   /* so many more of them pass first */
	uint32_t times;  /* so many of them fail then */
	uint32_t action; /* 0 fail, 1 fail after half of it was written, 2 SIGKILL */
	uint32_t failed; /* how many failed */
	uint32_t seen;   /* how many there were */
};

enum { WRITE = 1, SYNC = 2, TRUNCATE = 4, UNLINK = 8, OPEN = 16 };
enum { FAIL, HALF, KILL };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char *names[4096];
static char *dir;
static size_t dir_len;
static int log_fd = -1;
static volatile struct control *control;

__attribute__((constructor)) static void start(void)
{
	char *path = getenv("TORTURE_LOG");
	dir = getenv("TORTURE_DIR");
	if (!dir)
		return;
	dir_len = strlen(dir);
	if (path)
		log_fd = syscall(SYS_openat, AT_FDCWD, path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
	path = getenv("TORTURE_CONTROL");
	if (path) {
		int fd = syscall(SYS_openat, AT_FDCWD, path, O_RDWR | O_CLOEXEC);
		void *p = mmap(NULL, sizeof *control, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		if (fd < 0 || p == MAP_FAILED)
			_exit(99);
		control = p;
		syscall(SYS_close, fd);
	}
	if ((getenv("TORTURE_LOG") && log_fd < 0))
		_exit(99);
}

/* The name of a path below the folder, "." for itself, NULL for any other. The
 * index of the log is no part of the disk: it is made anew after a crash. */
static const char *watched(const char *path)
{
	size_t n;
	if (!dir || !path || strncmp(path, dir, dir_len) != 0)
		return NULL;
	path += dir_len;
	if (*path == '\0')
		return ".";
	if (*path != '/')
		return NULL;
	n = strlen(++path);
	if (n >= 4 && strcmp(path + n - 4, "-shm") == 0)
		return NULL;
	return *path ? path : ".";
}

static const char *name_of(int fd)
{
	return fd >= 0 && fd < 4096 ? names[fd] : NULL;
}

static void set_name(int fd, const char *name)
{
	if (fd < 0 || fd >= 4096)
		return;
	free(names[fd]);
	names[fd] = name ? strdup(name) : NULL;
}

static void record(char op, int failed, const char *name, int64_t offset, const void *data, uint32_t len)
{
	char head[16];
	uint16_t name_len = strlen(name);
	struct iovec parts[3] = {{head, sizeof head}, {(void *)name, name_len}, {(void *)data, len}};
	if (log_fd < 0)
		return;
	head[0] = op;
	head[1] = failed;
	memcpy(head + 2, &name_len, 2);
	memcpy(head + 4, &len, 4);
	memcpy(head + 8, &offset, 8);
	if (syscall(SYS_writev, log_fd, parts, len ? 3 : 2) != (long)(sizeof head + name_len + len))
		_exit(99); /* a recording with a hole would prove anything */
}

/* Whether this call is one that has to fail. */
static int fails(uint32_t op)
{
	if (!control || !(control->ops & op))
		return 0;
	control->seen++;
	if (control->skip > 0) {
		control->skip--;
		return 0;
	}
	if (control->times == 0)
		return 0;
	control->times--;
	control->failed++;
	if (control->action == KILL) {
		kill(getpid(), SIGKILL);
		for (;;)
			pause();
	}
	return 1;
}

static int do_open(const char *path, int flags, mode_t mode)
{
	const char *name = watched(path);
	struct stat st;
	int fd, saved, fresh;
	pthread_mutex_lock(&lock);
	if (name && (flags & O_ACCMODE) != O_RDONLY && fails(OPEN)) {
		pthread_mutex_unlock(&lock);
		errno = control->error;
		return -1;
	}
	fresh = name && (flags & O_CREAT) && stat(path, &st) != 0;
	fd = syscall(SYS_openat, AT_FDCWD, path, flags, mode);
	saved = errno;
	if (fd >= 0) {
		set_name(fd, name);
		if (fresh)
			record('C', 0, name, 0, NULL, 0);
	}
	pthread_mutex_unlock(&lock);
	errno = saved;
	return fd;
}

#define OPEN_BODY                                    \
	mode_t mode = 0;                             \
	if (flags & (O_CREAT | O_TMPFILE)) {         \
		va_list ap;                          \
		va_start(ap, flags);                 \
		mode = va_arg(ap, mode_t);           \
		va_end(ap);                          \
	}                                            \
	return do_open(path, flags, mode);

int open(const char *path, int flags, ...) { OPEN_BODY }
int open64(const char *path, int flags, ...) { OPEN_BODY }

int close(int fd)
{
	int rc;
	pthread_mutex_lock(&lock);
	set_name(fd, NULL);
	rc = syscall(SYS_close, fd);
	pthread_mutex_unlock(&lock);
	return rc;
}

static ssize_t do_write(int fd, const void *data, size_t len, int64_t offset, int here)
{
	const char *name;
	ssize_t n;
	int saved, failed;
	pthread_mutex_lock(&lock);
	name = name_of(fd);
	if (name && here)
		offset = lseek(fd, 0, fcntl(fd, F_GETFL) & O_APPEND ? SEEK_END : SEEK_CUR);
	failed = name && fails(WRITE);
	if (failed && (control->action != HALF || len < 2)) {
		pthread_mutex_unlock(&lock);
		errno = control->error;
		return -1;
	}
	if (failed)
		len /= 2;
	n = here ? syscall(SYS_write, fd, data, len) : syscall(SYS_pwrite64, fd, data, len, offset);
	saved = errno;
	if (name && n > 0)
		record('W', 0, name, offset, data, n);
	pthread_mutex_unlock(&lock);
	errno = saved;
	if (failed) {
		errno = control->error;
		return -1;
	}
	return n;
}

ssize_t write(int fd, const void *data, size_t len) { return do_write(fd, data, len, 0, 1); }
ssize_t pwrite(int fd, const void *data, size_t len, off_t offset) { return do_write(fd, data, len, offset, 0); }
ssize_t pwrite64(int fd, const void *data, size_t len, off64_t offset) { return do_write(fd, data, len, offset, 0); }

/* A sync that is told to fail does not happen: what was written since the last
 * one may never reach the disk, although everybody reads it from memory. That
 * of a folder always happens, since SQLite does not look at its result. */
static int do_sync(int fd, long number)
{
	const char *name;
	int rc, saved, folder, failed;
	pthread_mutex_lock(&lock);
	name = name_of(fd);
	folder = name && strcmp(name, ".") == 0;
	failed = name && !folder && fails(SYNC);
	if (failed) {
		rc = -1;
		saved = control->error;
	} else {
		rc = syscall(number, fd);
		saved = errno;
	}
	if (name)
		record(folder ? 'D' : 'S', rc != 0, name, 0, NULL, 0);
	pthread_mutex_unlock(&lock);
	errno = saved;
	return rc;
}

int fsync(int fd) { return do_sync(fd, SYS_fsync); }
int fdatasync(int fd) { return do_sync(fd, SYS_fdatasync); }

static int do_truncate(int fd, int64_t size)
{
	const char *name;
	int rc, saved;
	pthread_mutex_lock(&lock);
	name = name_of(fd);
	if (name && fails(TRUNCATE)) {
		pthread_mutex_unlock(&lock);
		errno = control->error;
		return -1;
	}
	rc = syscall(SYS_ftruncate, fd, size);
	saved = errno;
	if (name && rc == 0)
		record('T', 0, name, size, NULL, 0);
	pthread_mutex_unlock(&lock);
	errno = saved;
	return rc;
}

int ftruncate(int fd, off_t size) { return do_truncate(fd, size); }
int ftruncate64(int fd, off64_t size) { return do_truncate(fd, size); }

int unlink(const char *path)
{
	const char *name = watched(path);
	int rc, saved;
	pthread_mutex_lock(&lock);
	if (name && fails(UNLINK)) {
		pthread_mutex_unlock(&lock);
		errno = control->error;
		return -1;
	}
	rc = syscall(SYS_unlinkat, AT_FDCWD, path, 0);
	saved = errno;
	if (name && rc == 0)
		record('U', 0, name, 0, NULL, 0);
	pthread_mutex_unlock(&lock);
	errno = saved;
	return rc;
}

int rename(const char *from, const char *to)
{
	const char *name = watched(from), *new_name = watched(to);
	int rc, saved;
	pthread_mutex_lock(&lock);
	rc = syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0);
	saved = errno;
	if (rc == 0 && name && new_name)
		record('R', 0, name, 0, new_name, strlen(new_name));
	pthread_mutex_unlock(&lock);
	errno = saved;
	return rc;
}
