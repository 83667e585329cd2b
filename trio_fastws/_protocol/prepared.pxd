cimport cython

from .agreement cimport Agreement
from .frames cimport encode_frame

# Numbers of the module as C has them: not seen from Python.
cdef int FIN, RSV1, TEXT, BINARY


cdef class PreparedMessage:
    cdef readonly int opcode
    cdef readonly bytes payload
    cdef readonly bint compress
    cdef tuple _plain
    cdef dict _compressed

    cpdef tuple get_plain(self)
    @cython.locals(data=bytes, smaller=bint)
    cpdef tuple get_compressed(self, Agreement agreement)


@cython.locals(parts=list)
cdef tuple _make_shared(int first, bytes payload)

cpdef tuple to_payload(message)

@cython.locals(prepared=PreparedMessage)
cpdef tuple to_item(message)
