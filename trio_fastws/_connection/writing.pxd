cimport cython

from trio_fastws._protocol.endpoint cimport Endpoint
from trio_fastws._layout cimport flag
from trio_fastws._transport.contract cimport Link, Dispatcher
from .outbox cimport Outbox

from .encoding cimport Encoder
from .shared cimport Shared

# Numbers of the module as C has them: not seen from Python.
cdef int PATIENCE
cdef Py_ssize_t BATCH_SIZE
cdef double PATIENCE_SECONDS


cdef class Writer(Encoder):
    cdef public long long _sent_turn
    cdef public flag _closing
    cdef public unsigned char _owed

    cdef _init_writer(self, Shared shared, Endpoint endpoint)
    cpdef _get_waiting(self)
    cdef _on_blocked(self)
    cdef _on_crowded(self)
    cdef _on_written(self, bint was_blocked)
    @cython.locals(dispatcher=Dispatcher, outbox=Outbox)
    cpdef _commit(self, bytes data)
    @cython.locals(dispatcher=Dispatcher, seconds=double)
    cpdef _commit_control(self, bytes data, bint is_pong)
    cpdef _release_held(self)
    @cython.locals(parts=list, size=Py_ssize_t)
    cdef _uncork(self, Dispatcher dispatcher)
    @cython.locals(taken=Py_ssize_t, outbox=Outbox, link=Link)
    cdef _write(self, list parts, Py_ssize_t size)
    cdef Outbox _new_outbox(self)
    cdef _mark_outbox(self, Outbox outbox, Dispatcher dispatcher, bint urgent=*)
    cdef _write_out(self, Outbox outbox)
    cpdef _flush_now(self)
    @cython.locals(was_blocked=bint, dispatcher=Dispatcher)
    cdef _flush(self, Outbox outbox)
