cimport cython

from ._xor cimport unmask
from trio_fastws._protocol.deflate.context cimport DeflateContext
from .encoder cimport MessageEncoder
from .frames cimport encode_frame

# Numbers of the module as C has them: not seen from Python.
cdef int FIN, CLOSE, PING, PONG, SERVER


@cython.final
cdef class Endpoint(MessageEncoder):
    @cython.locals(header=bytes)
    cpdef feed(self, bytearray data, Py_ssize_t start, Py_ssize_t stop)
    cpdef next_event(self)
    cpdef receive_text_as_bytes(self)
    cdef _next(self)
    @cython.locals(available=Py_ssize_t, take=Py_ssize_t)
    cdef int _skip(self) except -1
    @cython.locals(at=Py_ssize_t, available=Py_ssize_t, take=Py_ssize_t, payload=bytes, whole=bytearray)
    cdef _read_control(self)
    cdef _read_close(self, bytes payload)
    cpdef end(self)
    cpdef fail(self, int code, str reason)
    cpdef bint ends_transport(self)
    cpdef bytes encode_ping(self, bytes payload=*)
    cpdef bytes encode_pong(self, bytes payload=*)
    cpdef bytes encode_close(self, int code=*, reason=*)
    cdef bytes _encode_control(self, int opcode, bytes payload)
