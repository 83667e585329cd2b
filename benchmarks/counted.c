/* Counts what a process asks of libc: put into LD_PRELOAD, with COUNTED=FILE.
 *
 * The file holds the numbers of `names` below as 64-bit integers, and whoever wants to
 * know reads it while the process runs. Seen are calls from the program and its
 * libraries: not those that libc makes itself, and no copy that a compiler has put in
 * place of a call. Counted without locks: meant for one thread.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

/* In the order in which `counts_meters.py` reads them. */
enum names { ALLOCATIONS, ALLOCATED, COPIES, COPIED, RECEIVED, SENT, NAMES };

static uint64_t unread[NAMES];
static uint64_t *counts = unread;

static void *(*real_malloc)(size_t);
static void *(*real_calloc)(size_t, size_t);
static void *(*real_realloc)(void *, size_t);
static void (*real_free)(void *);
static void *(*real_memcpy)(void *, const void *, size_t);
static void *(*real_memmove)(void *, const void *, size_t);
static ssize_t (*real_recv)(int, void *, size_t, int);
static ssize_t (*real_readv)(int, const struct iovec *, int);
static ssize_t (*real_send)(int, const void *, size_t, int);
static ssize_t (*real_write)(int, const void *, size_t);
static ssize_t (*real_writev)(int, const struct iovec *, int);
static ssize_t (*real_sendmsg)(int, const struct msghdr *, int);

/* What dlsym itself allocates before we know where malloc is. */
static char early[65536] __attribute__((aligned(16)));
static size_t early_used;

static void *next(void **place, const char *name)
{
    if (!*place)
        *place = dlsym(RTLD_NEXT, name);
    return *place;
}

#define NEXT(name) ((__typeof__(real_##name))next((void **)&real_##name, #name))

__attribute__((constructor)) static void begin(void)
{
    const char *path = getenv("COUNTED");
    int fd = path ? open(path, O_RDWR) : -1;
    if (fd < 0)
        return;
    void *shared = mmap(NULL, sizeof unread, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    if (shared != MAP_FAILED)
        counts = shared;
}

static void note(int calls, size_t size)
{
    counts[calls]++;
    counts[calls + 1] += size;
}

static void *take_early(size_t size)
{
    void *found = early + early_used;
    early_used += (size + 15) & ~(size_t)15;
    return early_used <= sizeof early ? found : NULL;
}

void *malloc(size_t size)
{
    static int looking;
    if (!real_malloc) {
        if (looking)
            return take_early(size);
        looking = 1;
        NEXT(malloc);
        looking = 0;
    }
    note(ALLOCATIONS, size);
    return real_malloc(size);
}

void *calloc(size_t count, size_t size)
{
    static int looking;
    if (!real_calloc) {
        if (looking)
            return take_early(count * size); /* static, so it is zero */
        looking = 1;
        NEXT(calloc);
        looking = 0;
    }
    note(ALLOCATIONS, count * size);
    return real_calloc(count, size);
}

void *realloc(void *old, size_t size)
{
    note(ALLOCATIONS, size);
    return NEXT(realloc)(old, size);
}

void free(void *old)
{
    if ((char *)old < early || (char *)old >= early + sizeof early)
        NEXT(free)(old);
}

/* dlsym may copy before we know where memcpy is. */
static void *copy_slowly(void *to, const void *from, size_t size)
{
    volatile char *at = to;
    const char *source = from;
    if (at <= source)
        for (size_t i = 0; i < size; i++)
            at[i] = source[i];
    else
        while (size--)
            at[size] = source[size];
    return to;
}

void *memcpy(void *to, const void *from, size_t size)
{
    note(COPIES, size);
    return real_memcpy ? real_memcpy(to, from, size) : copy_slowly(to, from, size);
}

void *memmove(void *to, const void *from, size_t size)
{
    note(COPIES, size);
    return real_memmove ? real_memmove(to, from, size) : copy_slowly(to, from, size);
}

/* What calls become where _FORTIFY_SOURCE is on. */
void *__memcpy_chk(void *to, const void *from, size_t size, size_t room)
{
    if (size > room)
        abort();
    return memcpy(to, from, size);
}

void *__memmove_chk(void *to, const void *from, size_t size, size_t room)
{
    if (size > room)
        abort();
    return memmove(to, from, size);
}

__attribute__((constructor)) static void find_copies(void)
{
    NEXT(memcpy);
    NEXT(memmove);
}

/* Not read(): that is files, as when a module is imported late; no server calls it. */
static ssize_t moved(int what, ssize_t size)
{
    if (size > 0)
        counts[what] += (uint64_t)size;
    return size;
}

ssize_t recv(int fd, void *to, size_t size, int flags)
{
    return moved(RECEIVED, NEXT(recv)(fd, to, size, flags));
}

ssize_t readv(int fd, const struct iovec *to, int count)
{
    return moved(RECEIVED, NEXT(readv)(fd, to, count));
}

ssize_t send(int fd, const void *from, size_t size, int flags)
{
    return moved(SENT, NEXT(send)(fd, from, size, flags));
}

ssize_t write(int fd, const void *from, size_t size)
{
    return moved(SENT, NEXT(write)(fd, from, size));
}

ssize_t writev(int fd, const struct iovec *from, int count)
{
    return moved(SENT, NEXT(writev)(fd, from, count));
}

ssize_t sendmsg(int fd, const struct msghdr *from, int flags)
{
    return moved(SENT, NEXT(sendmsg)(fd, from, flags));
}
