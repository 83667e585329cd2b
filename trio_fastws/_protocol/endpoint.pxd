cimport cython

from .flag cimport flag
from ._xor cimport unmask
from .agreement cimport Agreement
from .deflate cimport DeflateContext
from .frames cimport encode_frame
from .compressed cimport CompressedParser
from .prepared cimport PreparedMessage

# Numbers of the module as C has them: not seen from Python.
cdef int FIN, RSV1, CLOSE, PING, PONG, SERVER


@cython.final
cdef class Endpoint(CompressedParser):
    cdef readonly flag close_sent
    cdef readonly flag close_received
    cdef readonly flag failed
    cdef readonly long long messages_sent
    cdef readonly long long bytes_sent

    cpdef receive_data(self, bytes data)
    cpdef next_event(self)
    cdef _next(self)
    @cython.locals(available=Py_ssize_t, take=Py_ssize_t)
    cdef int _skip(self) except -1
    @cython.locals(at=Py_ssize_t, available=Py_ssize_t, take=Py_ssize_t, payload=bytes, whole=bytearray)
    cdef _read_control(self)
    cdef _read_close(self, bytes payload)
    cdef _fail(self, int code, str reason)
    cpdef bint ends_transport(self)
    @cython.locals(data=bytes, work=Py_ssize_t)
    cpdef Py_ssize_t encode(self, int opcode, bytes payload, bint fin, list parts) except -1
    @cython.locals(agreement=Agreement)
    cpdef bint in_steps(self, Py_ssize_t size)
    @cython.locals(agreement=Agreement)
    cpdef bint may_share(self, Py_ssize_t size)
    @cython.locals(payload=bytes, context=DeflateContext, first=int, frame=tuple)
    cpdef Py_ssize_t encode_prepared(self, PreparedMessage prepared, bint compress, list parts) except -1
    cpdef bytes encode_ping(self, bytes payload=*)
    cpdef bytes encode_pong(self, bytes payload=*)
    cpdef bytes encode_close(self, int code=*, str reason=*)
    cdef bytes _encode_control(self, int opcode, bytes payload)
