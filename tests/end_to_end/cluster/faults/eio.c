/* Fails one fsync with EIO: that of the file or directory whose path stands in the file $DSTREAM_TEST_EIO, which is
   removed by that. To be preloaded. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static int fails(int file) {
    char wanted[4096], found[4096], name[64];
    const char *path = getenv("DSTREAM_TEST_EIO");
    int order = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (order < 0)
        return 0;
    ssize_t length = read(order, wanted, sizeof wanted);
    close(order);
    snprintf(name, sizeof name, "/proc/self/fd/%d", file);
    if (length <= 0 || readlink(name, found, sizeof found) != length || memcmp(wanted, found, length) != 0)
        return 0;
    /* Of several threads, the one that removes it. */
    return unlink(path) == 0;
}

int fsync(int file) {
    if (fails(file)) {
        errno = EIO;
        return -1;
    }
    return (int)syscall(SYS_fsync, file);
}

int fdatasync(int file) {
    if (fails(file)) {
        errno = EIO;
        return -1;
    }
    return (int)syscall(SYS_fdatasync, file);
}
