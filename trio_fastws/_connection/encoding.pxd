cimport cython

from trio_fastws._protocol.endpoint cimport Endpoint
from trio_fastws._protocol.fragments cimport Fragments
from trio_fastws._protocol.prepared cimport PreparedMessage
from trio_fastws._transport.contract cimport Link
from .outbox cimport Outbox

from .budget cimport Holder
from .shared cimport Shared

# Numbers of the module as C has them: not seen from Python.
cdef int CLOSE, RSV1, SERVER


cdef class Encoder(Holder):
    cdef public Endpoint _endpoint
    cdef public Outbox _outbox
    cdef public Shared _shared
    cdef public object _waiting

    cdef _init_encoder(self, Shared shared, Endpoint endpoint)
    @cython.locals(endpoint=Endpoint)
    cdef bint _in_steps(self, int opcode, Py_ssize_t size, PreparedMessage prepared) except? -1
    @cython.locals(frame_size=Py_ssize_t, shared=list)
    cdef Fragments _begin(self, int opcode, bytes payload, bint fin, PreparedMessage prepared)
    @cython.locals(frame_size=Py_ssize_t)
    cdef Py_ssize_t _encode(self, int opcode, bytes payload, PreparedMessage prepared, list parts) except -1
    @cython.locals(outbox=Outbox, link=Link)
    cdef _check_time(self)
    cdef _begin_steps(self, Outbox outbox, Fragments large)
    @cython.locals(outbox=Outbox, size=Py_ssize_t)
    cdef Py_ssize_t _encode_step(self, Fragments large, list parts) except -1
    @cython.locals(data=bytes)
    cdef Py_ssize_t _release_postponed(self, list parts) except -1
    cdef bytes _take_held(self)
