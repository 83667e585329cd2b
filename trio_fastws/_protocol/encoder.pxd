cimport cython

from trio_fastws._layout cimport flag
from trio_fastws._protocol.deflate.agreement cimport Agreement
from .inflating cimport CompressedParser
from trio_fastws._protocol.deflate.context cimport DeflateContext
from .frames cimport encode_frames, encode_slice
from .prepared cimport PreparedMessage

# Numbers of the module as C has them: not seen from Python.
cdef int FIN, RSV1, SERVER
cdef Py_ssize_t NO_LIMIT


cdef class MessageEncoder(CompressedParser):
    cdef readonly flag close_sent
    cdef readonly flag close_received
    cdef readonly flag failed
    cdef readonly flag dividing
    cdef readonly long long messages_sent
    cdef readonly long long bytes_sent

    cdef _init_encoder(self)
    cpdef Py_ssize_t encode_message(self, int opcode, bytes payload, PreparedMessage prepared, list parts, Py_ssize_t frame_size) except -1
    @cython.locals(compressed=bint, data=bytes)
    cpdef Py_ssize_t encode(self, int opcode, bytes payload, bint fin, list parts, Py_ssize_t frame_size=*) except -1
    cdef int _count(self, Py_ssize_t size, bint fin) except -1
    @cython.locals(context=DeflateContext, work=Py_ssize_t)
    cpdef bytes compress(self, int opcode, bytes payload, bint fin, bint flush)
    @cython.locals(size=Py_ssize_t, postponed=bytes)
    cpdef Py_ssize_t encode_compressed(self, int opcode, bytes data, bint fin, list parts, Py_ssize_t frame_size) except -1
    @cython.locals(context=DeflateContext, first=bint)
    cpdef bint postpone(self, int kind, bytes frame) except? -1
    @cython.locals(context=DeflateContext)
    cpdef bytes take_postponed(self)
    cpdef Py_ssize_t encode_part(self, int opcode, bytes payload, Py_ssize_t start, Py_ssize_t stop, bint fin, list parts) except -1
    cpdef Py_ssize_t encode_shared(self, tuple frame, bint fin, list parts) except -1
    cpdef bint compresses(self)
    cpdef bint in_steps(self, Py_ssize_t size)
    @cython.locals(agreement=Agreement)
    cpdef bint may_share(self, Py_ssize_t size)
    @cython.locals(payload=bytes, context=DeflateContext, first=int, frame=tuple)
    cpdef Py_ssize_t encode_prepared(self, PreparedMessage prepared, bint compress, list parts, Py_ssize_t frame_size=*) except -1
    @cython.locals(size=Py_ssize_t, fragments=list)
    cdef Py_ssize_t _encode_shared_whole(self, PreparedMessage prepared, list parts, Py_ssize_t frame_size) except -1
