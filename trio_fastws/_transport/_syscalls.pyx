"""The C bodies of `syscalls`: the same functions, without Python's socket objects.

The GIL is kept: none of these calls waits, and to release it and take it again would
cost as much as a short call.
"""

from cpython.buffer cimport PyBUF_SIMPLE, PyBUF_WRITABLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.bytearray cimport PyByteArray_AS_STRING
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from cpython.exc cimport PyErr_SetFromErrno
from libc.errno cimport EAGAIN, EINTR, errno
from libc.stdint cimport uint32_t
from libc.string cimport memcpy, memset

from .addresses import SIZES, to_address


cdef extern from "<sys/uio.h>" nogil:
    cdef struct iovec:
        void *iov_base
        size_t iov_len


cdef extern from "<sys/socket.h>" nogil:
    cdef struct msghdr:
        iovec *msg_iov
        size_t msg_iovlen

    ctypedef unsigned int socklen_t
    cdef struct sockaddr:
        unsigned short sa_family
    int AF_INET
    int MSG_NOSIGNAL
    int SOCK_NONBLOCK
    int SOCK_CLOEXEC
    int SHUT_WR
    int SOL_SOCKET
    int SO_ERROR
    int SO_PEERNAME
    int c_getpeername "getpeername"(int fd, sockaddr *address, socklen_t *size)
    int c_accept4 "accept4"(int fd, sockaddr *address, socklen_t *size, int flags)
    int c_shutdown "shutdown"(int fd, int how)
    int c_getsockopt "getsockopt"(
        int fd, int level, int name, void *value, socklen_t *size
    )
    Py_ssize_t c_recv "recv"(int fd, void *buffer, size_t size, int flags)
    Py_ssize_t c_send "send"(int fd, const void *buffer, size_t size, int flags)
    Py_ssize_t c_sendmsg "sendmsg"(int fd, const msghdr *message, int flags)


cdef extern from "<linux/sockios.h>" nogil:
    unsigned long SIOCOUTQNSD


cdef extern from "<sys/ioctl.h>" nogil:
    unsigned long TIOCOUTQ
    int c_ioctl "ioctl"(int fd, unsigned long request, int *value)


cdef extern from "<sys/epoll.h>" nogil:
    ctypedef union epoll_data_t:
        int fd

    cdef struct epoll_event:
        uint32_t events
        epoll_data_t data

    int c_epoll_wait "epoll_wait"(int fd, epoll_event *found, int most, int timeout)


# As in `syscalls`; ROOM is as much as one read brings, which is what is echoed.
cdef enum:
    JOIN_BELOW = 4096
    MAX_PARTS = 64
    ROOM = 256 * 1024

# Where small parts are joined. One thread at a time has the interpreter's lock.
cdef char _joined[ROOM]


cdef inline bint _later() noexcept:
    return errno == EAGAIN or errno == EINTR


cpdef int accept(int fd) except? -2:
    """See `syscalls.accept`."""
    cdef int came = c_accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)
    if came >= 0:
        return came
    if _later():
        return -1
    PyErr_SetFromErrno(OSError)
    return -2


cdef Py_ssize_t _receive(int fd, char *at, Py_ssize_t size) noexcept:
    cdef Py_ssize_t came = c_recv(fd, at, size, 0)
    if came >= 0:
        return came
    return -1 if _later() else -errno


cpdef Py_ssize_t receive(int fd, bytearray buffer, Py_ssize_t start) except? -2:
    """See `syscalls.receive`."""
    cdef Py_ssize_t size = len(buffer) - start  # which refuses None, as C would not
    if start < 0 or size < 0:
        raise IndexError("start lies outside the buffer")
    return _receive(fd, PyByteArray_AS_STRING(buffer) + start, size)


cpdef Py_ssize_t receive_into(int fd, room) except? -2:
    """See `syscalls.receive_into`."""
    cdef Py_buffer view
    PyObject_GetBuffer(room, &view, PyBUF_WRITABLE)
    try:
        return _receive(fd, <char *> view.buf, view.len)
    finally:
        PyBuffer_Release(&view)


cdef Py_ssize_t _sent(Py_ssize_t taken, Py_ssize_t before) except? -2:
    # What to answer after a call that took ``taken``, or failed.
    if taken >= 0:
        return before + taken
    if before > 0 or _later():
        return before  # an error comes again with the next call
    PyErr_SetFromErrno(OSError)
    return -2


cdef Py_ssize_t _join(Py_ssize_t at, const void *part, Py_ssize_t size) except -1:
    if at + size > ROOM:
        raise IndexError("parts are larger than their size")
    memcpy(_joined + at, part, size)
    return at + size


cdef Py_ssize_t _send_joined(int fd, list parts) except? -2:
    cdef Py_buffer view
    cdef Py_ssize_t size = 0
    for part in parts:
        if type(part) is bytes:
            # To ask it for its buffer would cost a tenth of what a short message does.
            size = _join(size, PyBytes_AS_STRING(part), PyBytes_GET_SIZE(part))
            continue
        PyObject_GetBuffer(part, &view, PyBUF_SIMPLE)
        try:
            size = _join(size, view.buf, view.len)
        finally:
            PyBuffer_Release(&view)
    return _sent(c_send(fd, _joined, size, MSG_NOSIGNAL), 0)


cdef Py_ssize_t _send_some(
    int fd, list parts, Py_ssize_t at, Py_ssize_t stop, Py_ssize_t before, bint *full
) except? -2:
    # The parts from ``at`` to ``stop``, at most `MAX_PARTS`, in one call.
    cdef Py_buffer views[MAX_PARTS]
    cdef iovec vector[MAX_PARTS]
    cdef msghdr message
    cdef Py_ssize_t held = 0, size = 0, taken, i
    memset(&message, 0, sizeof(message))
    message.msg_iov = vector
    message.msg_iovlen = stop - at
    try:
        while at + held < stop:
            PyObject_GetBuffer(parts[at + held], &views[held], PyBUF_SIMPLE)
            vector[held].iov_base = views[held].buf
            vector[held].iov_len = views[held].len
            size += views[held].len
            held += 1
        taken = c_sendmsg(fd, &message, MSG_NOSIGNAL)
        full[0] = taken < size
        return _sent(taken, before)
    finally:
        for i in range(held):
            PyBuffer_Release(&views[i])


cpdef Py_ssize_t send(int fd, list parts, Py_ssize_t size) except? -2:
    """See `syscalls.send`."""
    cdef Py_ssize_t count = len(parts), at = 0, done = 0
    cdef Py_buffer view
    cdef bint full = False
    if count == 1:
        PyObject_GetBuffer(parts[0], &view, PyBUF_SIMPLE)
        try:
            return _sent(c_send(fd, view.buf, view.len, MSG_NOSIGNAL), 0)
        finally:
            PyBuffer_Release(&view)
    if size < count * JOIN_BELOW and size <= ROOM:
        return _send_joined(fd, parts)
    while at < count and not full:
        done = _send_some(fd, parts, at, min(at + MAX_PARTS, count), done, &full)
        at += MAX_PARTS
    return done


cdef _read_name(char *name, Py_ssize_t size):
    cdef unsigned char *parts = <unsigned char *> name
    if (<sockaddr *> name).sa_family == AF_INET:
        # As `to_address` reads it. It is asked at the end of each connection, and
        # most are these.
        host = f"{parts[4]}.{parts[5]}.{parts[6]}.{parts[7]}"
        return host, parts[2] << 8 | parts[3]
    return to_address(name[:size])


cpdef peer_address(int fd):
    """See `syscalls.peer_address`."""
    cdef char name[128]  # sockaddr_storage
    cdef socklen_t size = sizeof(name)
    if c_getpeername(fd, <sockaddr *> name, &size) == 0:
        return _read_name(name, min(size, <socklen_t> sizeof(name)))
    for wanted in SIZES:
        size = wanted
        if c_getsockopt(fd, SOL_SOCKET, SO_PEERNAME, name, &size) == 0:
            return _read_name(name, min(size, <socklen_t> wanted))
    return None


cpdef end_output(int fd):
    """See `syscalls.end_output`."""
    if c_shutdown(fd, SHUT_WR) < 0:
        PyErr_SetFromErrno(OSError)


cpdef bint has_failed(int fd) except -1:
    """See `syscalls.has_failed`."""
    cdef int error = 0
    cdef socklen_t size = sizeof(error)
    if c_getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) < 0:
        PyErr_SetFromErrno(OSError)
    return error != 0


cpdef int unacknowledged(int fd) except -1:
    """See `syscalls.unacknowledged`."""
    cdef int size = 0
    return size if c_ioctl(fd, TIOCOUTQ, &size) == 0 else 0


cpdef int unsent(int fd) except -1:
    """See `syscalls.unsent`."""
    cdef int size = 0
    return size if c_ioctl(fd, SIOCOUTQNSD, &size) == 0 else unacknowledged(fd)


cpdef bytearray new_events(int most):
    """See `syscalls.new_events`."""
    return bytearray(<Py_ssize_t> sizeof(epoll_event) * most)


cpdef int poll(epoll, bytearray events) except -1:
    """See `syscalls.poll`."""
    cdef int fd = epoll.fileno()
    cdef int most = len(events) // <Py_ssize_t> sizeof(epoll_event)
    cdef epoll_event *found = <epoll_event *> PyByteArray_AS_STRING(events)
    cdef int count = c_epoll_wait(fd, found, most, 0)
    if count < 0:
        if errno == EINTR:
            return 0
        PyErr_SetFromErrno(OSError)
        return -1
    return count


cdef epoll_event *_event(bytearray events, Py_ssize_t index) except NULL:
    if not 0 <= index < len(events) // <Py_ssize_t> sizeof(epoll_event):
        raise IndexError("there is no such event")
    return <epoll_event *> PyByteArray_AS_STRING(events) + index


cpdef int polled_fd(bytearray events, Py_ssize_t index) except? -1:
    """See `syscalls.polled_fd`."""
    return _event(events, index).data.fd


cpdef unsigned int polled_mask(bytearray events, Py_ssize_t index) except? 0:
    """See `syscalls.polled_mask`."""
    return _event(events, index).events
