cimport cython

from .endpoint cimport Endpoint
from .prepared cimport PreparedMessage

# Numbers of the module as C has them: not seen from Python.
cdef int CONTINUATION, RSV1, SERVER


@cython.final
cdef class Fragments:
    cdef public bint fin
    cdef readonly bint done
    cdef int _opcode
    cdef bint _compressed
    cdef bytes _payload
    cdef Py_ssize_t _frame_size
    cdef Py_ssize_t _at
    cdef list _shared
    cdef list _gathered
    cdef Py_ssize_t _gathered_size

    cpdef Py_ssize_t size(self)
    @cython.locals(start=Py_ssize_t, stop=Py_ssize_t, size=Py_ssize_t, fin=bint, frame=tuple)
    cpdef Py_ssize_t step(self, Endpoint endpoint, list parts) except -1
    @cython.locals(
        start=Py_ssize_t, stop=Py_ssize_t, kept=Py_ssize_t, size=Py_ssize_t,
        opcode=int, fin=bint, chunk=bytes, data=bytes,
    )
    cdef Py_ssize_t _compress(self, Endpoint endpoint, list parts) except -1


@cython.locals(size=Py_ssize_t, shares=bint, shared=list)
cpdef Fragments divide(Endpoint endpoint, int opcode, bytes payload, bint fin, PreparedMessage prepared, Py_ssize_t frame_size)
