cimport cython

from trio_fastws._protocol.endpoint cimport Endpoint
from trio_fastws._protocol.prepared cimport PreparedMessage
from trio_fastws._transport.links cimport Link, Owner
from trio_fastws._transport.outbox cimport Outbox

# Numbers of the module as C has them: not seen from Python.
cdef int CONTINUATION, CLOSE, RSV1


cdef class LargeMessage:
    cdef int opcode
    cdef bytes payload
    cdef bint fin
    cdef Py_ssize_t at


cdef class Encoder(Owner):
    cdef public Endpoint endpoint
    cdef public Outbox _outbox

    cdef _init_encoder(self, Endpoint endpoint)
    cdef bint _in_steps(self, Py_ssize_t size, PreparedMessage prepared) except? -1
    cdef Py_ssize_t _encode(self, int opcode, bytes payload, PreparedMessage prepared, list parts) except -1
    @cython.locals(outbox=Outbox, link=Link)
    cdef _check_time(self)
    cdef _begin_steps(self, Outbox outbox, LargeMessage large)
    @cython.locals(
        outbox=Outbox, start=Py_ssize_t, stop=Py_ssize_t, last=bint, chunk=bytes,
        size=Py_ssize_t,
    )
    cdef Py_ssize_t _encode_step(self, LargeMessage large, list parts) except -1
