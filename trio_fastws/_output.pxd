cimport cython

from trio_fastws._protocol.endpoint cimport Endpoint
from trio_fastws._protocol.prepared cimport PreparedMessage
from trio_fastws._transport.links cimport Turn
from trio_fastws._transport.outbox cimport Outbox

from ._encoding cimport Encoder, LargeMessage
from ._service cimport Service


cdef class Output(Encoder):
    cdef public Service _service
    cdef public object _waiting
    cdef public object close_code
    cdef public object close_reason
    cdef public long long _sent_turn
    cdef public Py_ssize_t dropped
    cdef public bint _closing
    cdef public bint _closed_by_us
    cdef public bint _delayed
    cdef public bint _hung

    cdef _init_output(self, Service service, Endpoint endpoint)
    cpdef _get_waiting(self)
    cdef _on_blocked(self)
    cdef _on_crowded(self)
    cdef _on_written(self, bint stalled)
    cdef _on_too_slow(self)
    cdef _check_room(self)
    cpdef bint _has_room(self) except? -1
    cpdef _check_open(self)
    cpdef _raise_closed(self)
    @cython.locals(
        service=Service, turn=Turn, outbox=Outbox, parts=list, size=Py_ssize_t,
    )
    cpdef _enqueue(self, int opcode, bytes payload, PreparedMessage prepared, bint compress)
    @cython.locals(outbox=Outbox)
    cdef _enqueue_large(self, int opcode, bytes payload, Turn turn)
    cdef bint _may_write_now(self, Turn turn) except? -1
    cdef bint _make_room(self, Outbox outbox, Py_ssize_t size) except? -1
    cpdef bint _takes_fragment(self) except? -1
    @cython.locals(
        turn=Turn, outbox=Outbox, parts=list, size=Py_ssize_t, large=LargeMessage,
    )
    cpdef _commit_fragment(self, int opcode, bytes payload, bint fin)
    @cython.locals(turn=Turn, outbox=Outbox)
    cpdef _commit(self, bytes data)
    @cython.locals(parts=list, size=Py_ssize_t)
    cdef _uncork(self, Turn turn)
    @cython.locals(taken=Py_ssize_t, outbox=Outbox)
    cdef _write(self, list parts, Py_ssize_t size)
    cdef Outbox _new_outbox(self)
    cdef _mark_outbox(self, Outbox outbox, Turn turn)
    cdef _write_out(self, Outbox outbox)
    cpdef flush_now(self)
    @cython.locals(was_blocked=bint, stalled=bint, turn=Turn)
    cdef _flush(self, Outbox outbox)

