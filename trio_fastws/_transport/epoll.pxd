cimport cython

from ._syscalls cimport (
    end_output, has_failed, new_events, peer_address, poll, polled_fd, polled_mask,
    receive, receive_into, send, unacknowledged, unsent,
)
from .contract cimport Link, Owner, Dispatcher

# Numbers of the module as C has them: not seen from Python.
cdef unsigned int EPOLLIN, EPOLLOUT, EPOLLERR, EPOLLHUP, EPOLLRDHUP, EPOLLET
cdef Py_ssize_t HEADROOM, MAX_EVENTS


cdef class SocketLink(Link):
    cdef int _fd
    cdef unsigned int _mask
    cdef long long _written

    @cython.locals(size=Py_ssize_t)
    cdef _receive(self, Owner owner)
    cdef _end(self, Owner owner, error)
    cdef _check_hangup(self, Owner owner)
    @cython.locals(taken=Py_ssize_t)
    cpdef Py_ssize_t write(self, list parts, Py_ssize_t size) except -1
    cpdef Py_ssize_t unacknowledged(self) except -1
    cpdef bint is_lost(self) except? -1
    cpdef long long acknowledged(self, bint on_the_way=*) except? -1
    @cython.locals(room=Py_ssize_t, taken=Py_ssize_t)
    cdef Py_ssize_t _write_limited(self, list parts, Py_ssize_t size) except -1
    cpdef _limit_unsent(self, unsigned int size)
    cdef _break(self)
    @cython.locals(mask="unsigned int")
    cpdef want(self, bint read, bint write)
    cdef _set_mask(self, unsigned int mask)
    cdef EpollDispatcher _dispatcher(self)
    @cython.locals(fd=int)
    cpdef close(self)


cdef class EpollDispatcher(Dispatcher):
    cdef public object epoll
    cdef list _links
    cdef bytearray _events
    cdef Py_ssize_t _count
    cdef Py_ssize_t _position

    cpdef register(self, int fd, Link link, unsigned int mask)
    cpdef unregister(self, int fd)
    @cython.locals(
        late=bint, polled=bint, left=bint, links=list, events=bytearray, link=Link,
        mask="unsigned int",
    )
    cpdef bint turn(self) except? -1
    cpdef handle(self, Link link, unsigned int events)
