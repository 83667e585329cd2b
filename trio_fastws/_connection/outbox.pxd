cimport cython

from trio_fastws._transport.contract cimport Link, Owner


cdef class Outbox:
    cdef Owner _owner
    cdef public list wire
    cdef public Py_ssize_t wire_size
    cdef public object pending
    cdef public Py_ssize_t pending_size
    cdef public Py_ssize_t wire_limit
    cdef public bint sparing
    cdef public bint blocked
    cdef public bint interrupted
    cdef public int patience
    cdef public double since
    cdef public double held_until
    cdef public long long acknowledged
    cdef public bytes pong
    cdef public object rest
    cdef public Py_ssize_t rest_size

    cpdef Py_ssize_t size(self)
    cpdef Py_ssize_t count(self)
    cpdef bint takes(self)
    cdef bint _has_room(self)
    cpdef commit(self, list parts, Py_ssize_t size)
    cpdef commit_pong(self)
    cpdef put(self, item, Py_ssize_t size)
    cpdef bint drop_oldest(self) except? -1
    cdef _take(self)
    cpdef drop_pending(self)
    cpdef drop_unwritten(self)
    cdef bint _promote(self) except? -1
    @cython.locals(taken=Py_ssize_t, promoted=bint)
    cpdef bint flush(self, Link link, double now) except? -1
    cpdef block(self, Link link)
    cpdef look(self, Link link, double now)
    @cython.locals(wire=list, done=Py_ssize_t)
    cpdef advance(self, Py_ssize_t taken)
