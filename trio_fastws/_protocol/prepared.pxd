cimport cython

from trio_fastws._protocol.deflate.agreement cimport Agreement
from ._xor cimport check_text
from .frames cimport encode_frame, encode_frames, encode_slice

# Numbers of the module as C has them: not seen from Python.
cdef int FIN, RSV1, CONTINUATION, TEXT, BINARY, SERVER


cdef class PreparedMessage:
    cdef readonly int opcode
    cdef readonly bytes payload
    cdef readonly bint compress
    cdef tuple _plain
    cdef dict _compressed
    cdef dict _fragments

    @cython.locals(parts=list, size=Py_ssize_t)
    cpdef tuple _get_plain(self)
    cpdef list _get_fragments(self, Py_ssize_t frame_size)
    @cython.locals(data=bytes, frame=tuple, parts=list, first=int, size=Py_ssize_t)
    cpdef tuple _get_compressed(self, Agreement agreement, Py_ssize_t frame_size)


cpdef tuple to_payload(data, text=*)
@cython.locals(opcode=int, payload=bytes)
cdef tuple _to_kind(data, text)
cpdef tuple to_item(data, text)
