cimport cython

from trio_fastws._transport.linger cimport Linger
from trio_fastws._transport.contract cimport Link, Owner

from .admission cimport Reception
from trio_fastws._connection.shared cimport Service


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
