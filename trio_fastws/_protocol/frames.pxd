cimport cython

from ._xor cimport make_frame, make_header
from trio_fastws._layout cimport flag

# Numbers of the module as C has them: not seen from Python.
cdef Py_ssize_t COPY_BELOW
cdef int FIN

# An idle connection has one of these: hence the small types.
cdef class FrameParser:
    cdef bytearray _data
    cdef bytes _start
    cdef Py_ssize_t _position
    cdef Py_ssize_t _stop
    cdef Py_ssize_t _length
    cdef Py_ssize_t _remaining
    cdef unsigned int _key
    cdef readonly unsigned int frames
    cdef readonly signed char role
    cdef unsigned char _kind
    cdef unsigned char _in_payload
    cdef unsigned char _fin
    cdef unsigned char _rsv1
    cdef unsigned char _kept
    cdef public flag rsv1_allowed
    cdef readonly flag drained

    cdef _init_frames(self, role)
    @cython.locals(
        data=bytearray, at=Py_ssize_t, available=Py_ssize_t, first=int,
        second=int, length=Py_ssize_t, size=Py_ssize_t,
    )
    cdef bint _read_header(self) except? -1
    cdef bint _keep_header(self, Py_ssize_t available) except? -1
    cdef int _release(self) except -1
    @cython.locals(left=Py_ssize_t, rest=bytearray)
    cpdef keep(self)
    @cython.locals(opcode=int)
    cdef int _check_first_bytes(self, int first, int second) except -1
    @cython.locals(length=Py_ssize_t, i=Py_ssize_t)
    cdef Py_ssize_t _read_length(self, bytearray data, Py_ssize_t at, Py_ssize_t form) except -1


cdef class MaskingKeys:
    cdef bytes _block
    cdef Py_ssize_t _used

    cpdef drop(self)
    @cython.locals(at=Py_ssize_t, block=bytes)
    cpdef unsigned int draw(self) except? 0


cdef MaskingKeys masking_keys

@cython.locals(size=Py_ssize_t, header=bytes, frame=bytes)
cpdef Py_ssize_t encode_frame(int role, int first, bytes payload, list parts) except -1

@cython.locals(size=Py_ssize_t, header=bytes)
cpdef Py_ssize_t encode_slice(int role, int first, bytes payload, Py_ssize_t start, Py_ssize_t stop, list parts) except -1

@cython.locals(fin=int, at=Py_ssize_t, size=Py_ssize_t)
cpdef Py_ssize_t encode_frames(int role, int first, bytes payload, Py_ssize_t frame_size, list parts) except -1
