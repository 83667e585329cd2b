cimport cython

from trio_fastws._layout cimport flag
from trio_fastws._protocol.endpoint cimport Endpoint
from trio_fastws._protocol.fragments cimport Fragments, divide
from trio_fastws._protocol.prepared cimport PreparedMessage
from trio_fastws._transport._current cimport thread_ident
from trio_fastws._transport.contract cimport Dispatcher, Link, Owner
from .inbox cimport Inbox
from .outbox cimport Outbox
from .shared cimport Shared

# Numbers of the module as C has them: not seen from Python.
cdef int TEXT, BINARY, RSV1, WAIT, CLOSE_SLOW, WHEN_ROOM, OPEN
cdef Py_ssize_t BATCH_SIZE, CORK_SIZE


cdef class Sender(Owner):
    cdef public Shared _shared
    cdef public Endpoint _endpoint
    cdef public Outbox _outbox
    cdef public Inbox _inbox
    cdef public object _waiters
    cdef public object _closing
    cdef public object _probe
    cdef public object _remote_address
    cdef public double _heard
    cdef public double _since
    cdef public double _latency
    cdef public long long _sent_turn
    cdef public Py_ssize_t _charged
    cdef public unsigned int _dropped
    cdef readonly unsigned int id
    cdef public unsigned char _state
    cdef public unsigned char _owed
    cdef public unsigned char _paused

    cdef _init_sender(self, Shared shared, Endpoint endpoint, Link link)
    cpdef _balance(self, bint was_blocked)
    cpdef _start_close(self, code, reason, cause=*)
    cpdef _abort(self, reason)
    cdef _enqueue_text(self, str text, bint compress)
    cpdef bint _has_room(self) except? -1
    cpdef _check_open(self)
    @cython.locals(
        shared=Shared, dispatcher=Dispatcher, outbox=Outbox, large=Fragments, parts=list,
        size=Py_ssize_t,
    )
    cpdef _enqueue(self, int opcode, bytes payload, PreparedMessage prepared, bint compress)
    cpdef bint _may_write_now(self, Dispatcher dispatcher) except? -1
    @cython.locals(dropped=Py_ssize_t)
    cdef bint _make_room(self, Outbox outbox, Py_ssize_t size) except? -1
    @cython.locals(dispatcher=Dispatcher, outbox=Outbox)
    cpdef _commit(self, bytes data)
    @cython.locals(parts=list, size=Py_ssize_t)
    cpdef _uncork(self, Dispatcher dispatcher)
    cpdef _end_batch(self, Dispatcher dispatcher)
    @cython.locals(taken=Py_ssize_t, outbox=Outbox, link=Link)
    cpdef _write(self, list parts, Py_ssize_t size)
    @cython.locals(shared=Shared, outbox=Outbox)
    cpdef Outbox _new_outbox(self)
    @cython.locals(shared=Shared, dispatcher=Dispatcher)
    cpdef _mark_outbox(self, Outbox outbox, bint urgent)
    @cython.locals(dispatcher=Dispatcher)
    cdef _write_marked(self, Outbox outbox)
    @cython.locals(outbox=Outbox)
    cpdef _flush_now(self)
    @cython.locals(was_blocked=bint, dispatcher=Dispatcher, link=Link)
    cdef _flush(self, Outbox outbox)
    @cython.locals(inbox=Inbox, outbox=Outbox, held=Py_ssize_t, before=Py_ssize_t)
    cpdef _account(self)
