/* Preloaded into a process: records what it does to the files of one directory, or lets that fail.

   SHIM_DIR: the directory. SHIM_LOG: where every call that succeeds, or begins, is recorded, with what is written
   to standard output among them: "op path offset length\n", then the data. SHIM_FLAG and SHIM_ERRNO: while there
   is such a file, what changes the directory, or reaches for the disk, fails so. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

static const char *dir, *flag;
static int fault, log_fd = -1;

__attribute__((constructor)) static void begin(void) {
    dir = getenv("SHIM_DIR");
    flag = getenv("SHIM_FLAG");
    fault = getenv("SHIM_ERRNO") ? atoi(getenv("SHIM_ERRNO")) : 0;
    if (getenv("SHIM_LOG"))
        log_fd = syscall(SYS_openat, AT_FDCWD, getenv("SHIM_LOG"), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
}

static int is_ours(const char *path) { return dir && path && !strncmp(path, dir, strlen(dir)); }

static void record(const char *op, const char *path, off_t offset, const void *data, size_t length) {
    char head[4200];
    if (log_fd < 0) return;
    int saved = errno;
    int size = snprintf(head, sizeof head, "%s %s %lld %zu\n", op, path, (long long)offset, length);
    struct iovec both[2] = {{head, (size_t)size}, {(void *)data, data ? length : 0}};
    if (writev(log_fd, both, 2) < 0) abort();
    errno = saved;
}

/* The path of an open file of ours, or nothing. */
static const char *path_of(int fd, char *path, size_t size) {
    char link[64];
    int saved = errno;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = syscall(SYS_readlinkat, AT_FDCWD, link, path, size - 1);
    errno = saved;
    if (length < 0) return NULL;
    path[length] = 0;
    return is_ours(path) ? path : NULL;
}

static int fails(const char *path) {
    if (!fault || !is_ours(path) || syscall(SYS_faccessat, AT_FDCWD, flag, F_OK)) return 0;
    errno = fault;
    return 1;
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

#define PWRITE(name)                                                                                \
    ssize_t name(int fd, const void *data, size_t length, off_t offset) {                           \
        char buffer[4096];                                                                          \
        const char *path = path_of(fd, buffer, sizeof buffer);                                      \
        if (path && fails(path)) return -1;                                                         \
        if (path) record("write", path, offset, data, length);                                      \
        return REAL(name)(fd, data, length, offset);                                                \
    }
PWRITE(pwrite)
PWRITE(pwrite64)

ssize_t write(int fd, const void *data, size_t length) {
    char buffer[4096];
    const char *path = path_of(fd, buffer, sizeof buffer);
    if (path && fails(path)) return -1;
    if (path) record("write", path, lseek(fd, 0, SEEK_CUR), data, length);
    if (fd == 1) record("mark", "-", 0, data, length);
    return REAL(write)(fd, data, length);
}

#define FTRUNCATE(name)                                                                             \
    int name(int fd, off_t length) {                                                                \
        char buffer[4096];                                                                          \
        const char *path = path_of(fd, buffer, sizeof buffer);                                      \
        if (path && fails(path)) return -1;                                                         \
        if (path) record("truncate", path, length, NULL, 0);                                        \
        return REAL(name)(fd, length);                                                              \
    }
FTRUNCATE(ftruncate)
FTRUNCATE(ftruncate64)

#define FSYNC(name)                                                                                 \
    int name(int fd) {                                                                              \
        char buffer[4096];                                                                          \
        const char *path = path_of(fd, buffer, sizeof buffer);                                      \
        if (path && fails(path)) return -1;                                                         \
        int result = REAL(name)(fd);                                                                \
        if (path && !result) record("sync", path, 0, NULL, 0);                                      \
        return result;                                                                              \
    }
FSYNC(fsync)
FSYNC(fdatasync)

static int opened(const char *path, int flags) {
    int changes = (flags & O_ACCMODE) != O_RDONLY;
    if (changes && fails(path)) return -1;
    if ((flags & O_CREAT) && is_ours(path) && syscall(SYS_faccessat, AT_FDCWD, path, F_OK)) {
        record("create", path, 0, NULL, 0);
    }
    return 0;
}

#define OPEN(name)                                                                                  \
    int name(const char *path, int flags, ...) {                                                    \
        va_list more;                                                                               \
        va_start(more, flags);                                                                      \
        int mode = flags & O_CREAT ? va_arg(more, int) : 0;                                         \
        va_end(more);                                                                               \
        return opened(path, flags) ? -1 : REAL(name)(path, flags, mode);                            \
    }
OPEN(open)
OPEN(open64)

int rename(const char *from, const char *to) {
    if (fails(from)) return -1;
    if (is_ours(from)) record("rename", from, 0, to, strlen(to));
    return REAL(rename)(from, to);
}

int unlink(const char *path) {
    if (fails(path)) return -1;
    if (is_ours(path)) record("unlink", path, 0, NULL, 0);
    return REAL(unlink)(path);
}

int mkdir(const char *path, mode_t mode) { return fails(path) ? -1 : REAL(mkdir)(path, mode); }
