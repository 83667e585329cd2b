cimport cython

from .links cimport Link, Owner, Turn


cdef class SocketLink(Link):
    cdef object _socket
    cdef int _fd
    cdef unsigned int _mask

    cdef _receive(self, Owner owner)
    cdef _end(self, Owner owner, error)
    cdef _check_hangup(self, Owner owner)
    @cython.locals(count=Py_ssize_t)
    cpdef Py_ssize_t write(self, list parts, Py_ssize_t size) except -1
    cdef _break(self, error)
    @cython.locals(mask="unsigned int")
    cpdef want(self, bint read, bint write)
    cdef _set_mask(self, unsigned int mask)
    cdef Dispatcher _dispatcher(self)
    @cython.locals(fd=int)
    cpdef close(self)


cdef class Dispatcher(Turn):
    cdef public object epoll
    cdef list _links
    cdef list _events
    cdef Py_ssize_t _position

    cpdef register(self, int fd, Link link, unsigned int mask)
    cpdef unregister(self, int fd)
    @cython.locals(late=bint, looked=bint)
    cpdef bint turn(self) except? -1
    @cython.locals(links=list, link=Link, fd=int, mask="unsigned int")
    cdef _handle(self)
