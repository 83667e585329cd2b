cimport cython

from trio_fastws._transport.lingering cimport Linger
from trio_fastws._transport.links cimport Link, Owner

from ._reception cimport Reception
from ._service cimport Service


cdef class Answer(Owner):
    cdef Reception _reception
    cdef object _out
    cdef double _since
    cdef long long _taken

    @cython.locals(link=Link, reception=Reception, taken=Py_ssize_t)
    cpdef on_writable(self)
    cdef _lose(self, error)
    @cython.locals(seconds=double, due=double, link=Link, taken="long long")
    cpdef double on_deadline(self, double now) except? -1
    cpdef hurry(self)
    cpdef close(self)
    cdef _leave(self)


cdef class Farewell(Linger):
    cdef Reception _reception
    cdef double _since
    cdef long long _taken

    @cython.locals(due=double, link=Link, service=Service, taken="long long")
    cpdef double on_deadline(self, double now) except? -1
    cpdef hurry(self)
    cpdef close(self)
    cdef _close(self)
