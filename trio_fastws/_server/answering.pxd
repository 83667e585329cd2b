cimport cython

from trio_fastws._transport.linger cimport Linger
from trio_fastws._transport.contract cimport Link, Owner
from trio_fastws._transport.progress cimport Progress

from .admission cimport Admission
from trio_fastws._connection.shared cimport Shared


cdef class Answer(Owner):
    cdef Admission _admission
    cdef object _out
    cdef Progress _progress

    @cython.locals(
        link=Link, admission=Admission, progress=Progress, taken=Py_ssize_t, due=double,
    )
    cpdef _on_writable(self)
    cdef _lose(self, error)
    @cython.locals(seconds=double, due=double)
    cpdef double _on_deadline(self, double now) except? -1
    cpdef hurry(self)
    cpdef close(self)
    cdef _leave(self)


cdef class Farewell(Linger):
    cdef Admission _admission
    cdef Progress _progress

    @cython.locals(due=double, link=Link, shared=Shared)
    cpdef double _on_deadline(self, double now) except? -1
    cpdef hurry(self)
    cpdef close(self)
    cdef _close(self)
