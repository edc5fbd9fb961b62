/* Preloaded into a node under test: its wall clock and its syncs to disk become what a page of memory says, which the
   suite shares with it through the file named by PCJ_CONTROL. Counts what it does, so that the suite knows that a fault
   took effect. The monotonic clock is left alone, as a step of a real clock leaves it. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

/* jepsen/src/preload.rs writes and reads these by their places. */
struct control {
    volatile int64_t offset_ns;        /* added to the wall clock */
    volatile int64_t drift_ppm;        /* how much faster it runs, in millionths, since base_ns */
    volatile int64_t base_ns;
    volatile int64_t sync_delay_us;    /* every sync takes so much longer */
    volatile int64_t log_syncs_fail;   /* not 0: syncs of the Raft log answer EIO */
    volatile int64_t wrong_times;      /* times told that were not the machine's */
    volatile int64_t late_syncs;
    volatile int64_t failed_syncs;
};

static struct control *control;
static int (*real_clock_gettime)(clockid_t, struct timespec *);
static int (*real_fsync)(int);
static int (*real_fdatasync)(int);
static int (*real_sync_file_range)(int, off64_t, off64_t, unsigned int);

__attribute__((constructor)) static void begin(void) {
    real_clock_gettime = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
    real_fsync = (int (*)(int))dlsym(RTLD_NEXT, "fsync");
    real_fdatasync = (int (*)(int))dlsym(RTLD_NEXT, "fdatasync");
    real_sync_file_range = (int (*)(int, off64_t, off64_t, unsigned int))dlsym(RTLD_NEXT, "sync_file_range");
    const char *path = getenv("PCJ_CONTROL");
    if (path == NULL) return;
    int fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0) return;
    void *page = mmap(NULL, sizeof(struct control), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    if (page != MAP_FAILED) control = page;
}

int clock_gettime(clockid_t clock, struct timespec *time) {
    int result = real_clock_gettime ? real_clock_gettime(clock, time) : (int)syscall(SYS_clock_gettime, clock, time);
    if (result != 0 || control == NULL || (clock != CLOCK_REALTIME && clock != CLOCK_REALTIME_COARSE)) return result;
    int64_t offset = control->offset_ns, drift = control->drift_ppm;
    if (offset == 0 && drift == 0) return 0;
    int64_t now = (int64_t)time->tv_sec * 1000000000 + time->tv_nsec;
    now += offset + (int64_t)((double)(now - control->base_ns) * (double)drift / 1e6);
    time->tv_sec = now / 1000000000;
    time->tv_nsec = now % 1000000000;
    __sync_fetch_and_add(&control->wrong_times, 1);
    return 0;
}

int gettimeofday(struct timeval *restrict time, void *restrict zone) {
    (void)zone;
    struct timespec now;
    if (clock_gettime(CLOCK_REALTIME, &now) != 0) return -1;
    time->tv_sec = now.tv_sec;
    time->tv_usec = now.tv_nsec / 1000;
    return 0;
}

time_t time(time_t *at) {
    struct timespec now;
    if (clock_gettime(CLOCK_REALTIME, &now) != 0) return (time_t)-1;
    if (at != NULL) *at = now.tv_sec;
    return now.tv_sec;
}

static int is_of_log(int fd) {
    char link[64], path[4096];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0) return 0;
    path[length] = 0;
    return strstr(path, "/raft/log/") != NULL;
}

/* Says whether the sync is to fail; waits before where it is to be late. */
static int meet(int fd) {
    if (control == NULL) return 0;
    int64_t delay = control->sync_delay_us;
    if (delay > 0) {
        usleep((useconds_t)delay);
        __sync_fetch_and_add(&control->late_syncs, 1);
    }
    if (control->log_syncs_fail != 0 && is_of_log(fd)) {
        __sync_fetch_and_add(&control->failed_syncs, 1);
        errno = EIO;
        return 1;
    }
    return 0;
}

int fsync(int fd) { return meet(fd) ? -1 : real_fsync(fd); }

int fdatasync(int fd) { return meet(fd) ? -1 : real_fdatasync(fd); }

int sync_file_range(int fd, off64_t offset, off64_t length, unsigned int flags) {
    return meet(fd) ? -1 : real_sync_file_range(fd, offset, length, flags);
}
