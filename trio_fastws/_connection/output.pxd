cimport cython

from trio_fastws._protocol.endpoint cimport Endpoint
from trio_fastws._layout cimport flag
from trio_fastws._protocol.fragments cimport Fragments
from trio_fastws._protocol.prepared cimport PreparedMessage
from trio_fastws._transport.contract cimport Dispatcher
from .outbox cimport Outbox

from .shared cimport Shared
from .writing cimport Writer

# Numbers of the module as C has them: not seen from Python.
cdef int TEXT, BINARY, CONTINUATION, RSV1, WAIT, DROP_OLDEST, CLOSE_SLOW, WHEN_ROOM
cdef Py_ssize_t CORK_SIZE, ITEM_OVERHEAD


cdef class Output(Writer):
    cdef public object close_code
    cdef public object close_reason
    cdef public Py_ssize_t _dropped
    cdef public flag _closed_by_us
    cdef public flag _closes_first
    cdef public flag _hung
    cdef readonly unsigned int id

    cdef _init_output(self, Shared shared, Endpoint endpoint)
    cdef bint _has_more(self) except? -1
    cdef _on_too_slow(self)
    cdef _enqueue_text(self, str text, bint compress)
    @cython.locals(outbox=Outbox, room=bint)
    cdef _check_room(self)
    cpdef bint _has_room(self) except? -1
    cpdef _check_open(self)
    cpdef _raise_closed(self)
    cpdef _queue(self, int opcode, bytes payload, PreparedMessage prepared, bint compress)
    cpdef _pass_on(self)
    @cython.locals(
        shared=Shared, dispatcher=Dispatcher, outbox=Outbox, parts=list, size=Py_ssize_t,
    )
    cpdef _enqueue(self, int opcode, bytes payload, PreparedMessage prepared, bint compress)
    @cython.locals(outbox=Outbox)
    cdef _enqueue_large(self, int opcode, bytes payload, PreparedMessage prepared, Dispatcher dispatcher)
    cdef bint _may_write_now(self, Dispatcher dispatcher) except? -1
    cdef bint _is_full(self, Outbox outbox, Py_ssize_t size) except? -1
    cdef bint _make_room(self, Outbox outbox, Py_ssize_t size) except? -1
    cpdef bint _takes_fragment(self) except? -1
    @cython.locals(
        dispatcher=Dispatcher, outbox=Outbox, parts=list, size=Py_ssize_t, large=Fragments,
    )
    cpdef _commit_fragment(self, int opcode, bytes payload, bint fin)
