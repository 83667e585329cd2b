cimport cython

from trio_fastws._protocol.endpoint cimport Endpoint
from trio_fastws._protocol.fragments cimport Fragments
from trio_fastws._protocol.prepared cimport PreparedMessage
from trio_fastws._transport.contract cimport Link
from trio_fastws._transport.progress cimport Progress
from .shared cimport Shared

# Numbers of the module as C has them: not seen from Python.
cdef int CLOSE, RSV1, DROP_OLDEST, PATIENCE
cdef Py_ssize_t ITEM_OVERHEAD, WIRE_SIZE
cdef double PATIENCE_SECONDS


@cython.final
cdef class Outbox:
    cdef Shared _shared
    cdef Endpoint _endpoint
    cdef public list wire
    cdef public Py_ssize_t wire_size
    cdef public Py_ssize_t written
    cdef public Py_ssize_t finished
    cdef public object pending
    cdef public Py_ssize_t pending_size
    cdef public Fragments rest
    cdef public double delayed_until
    cdef public double since
    cdef public Progress progress
    cdef object _controls
    cdef public bint blocked
    cdef bint _interrupted
    cdef int _patience
    cdef public Py_ssize_t skipped

    @cython.locals(size=Py_ssize_t)
    cpdef Py_ssize_t size(self)
    @cython.locals(shared=Shared)
    cpdef bint has_room(self, bint in_hook=*)
    cdef bint _is_crowded(self)
    cpdef bint takes(self)
    @cython.locals(shared=Shared)
    cdef bint _may_promote(self)
    cpdef commit(self, list parts, Py_ssize_t size)
    cpdef postpone_pong(self, bytes frame)
    @cython.locals(data=bytes)
    cpdef commit_pong(self)
    @cython.locals(frame_size=Py_ssize_t)
    cpdef add(self, int opcode, bytes payload, PreparedMessage prepared, Fragments large)
    cpdef put(self, item, Py_ssize_t size)
    @cython.locals(shared=Shared)
    cpdef bint is_full(self, Py_ssize_t size)
    cpdef bint is_encoding(self)
    @cython.locals(dropped=Py_ssize_t)
    cpdef Py_ssize_t make_room(self, Py_ssize_t size) except? -2
    cdef _take(self)
    cpdef drop_pending(self)
    cpdef drop_unwritten(self)
    cdef bint _promote(self) except? -1
    @cython.locals(prepared=PreparedMessage, data=bytes, frame_size=Py_ssize_t)
    cdef _encode(self, item)
    cdef _step(self, Fragments large)
    cdef _check_time(self)
    cpdef expect_more(self, bint expected)
    cpdef bint waits(self, double now)
    @cython.locals(taken=Py_ssize_t, promoted=bint)
    cpdef bint flush(self, Link link, double now) except? -1
    cpdef block(self, Link link)
    @cython.locals(progress=Progress)
    cpdef poll(self, Link link, double now)
    @cython.locals(wire=list, done=Py_ssize_t)
    cpdef advance(self, Py_ssize_t taken)
