cimport cython

from trio_fastws._protocol.deflate.context cimport DeflateContext
from trio_fastws._protocol.endpoint cimport Endpoint
from trio_fastws._transport.contexts cimport Contexts
from trio_fastws._transport.contract cimport Dispatcher, Link
from .ending cimport abandon, abort, end, settle
from .hooks cimport call_alone, call_on_drain, on_error
from .inbox cimport Inbox
from .outbox cimport Outbox
from .sending cimport Sender
from .shared cimport Shared

# Numbers of the module as C has them: not seen from Python.
cdef int BY_BUDGET, BY_INBOX, BY_OUTBOX, WHEN_EMPTY
cdef int OPEN, RESET, CLOSING, ENDING, CLOSED


cdef class Connection(Sender):
    cdef public object _request
    cdef public object _response
    cdef public object _subprotocol
    cdef public object session

    @cython.locals(shared=Shared, dispatcher=Dispatcher)
    cpdef _open(self, Py_ssize_t start, Py_ssize_t stop)
    cpdef _on_data(self, Py_ssize_t start, Py_ssize_t stop)
    cpdef _on_filled(self, Py_ssize_t size)
    cpdef _on_deferred(self)
    @cython.locals(deflate=DeflateContext)
    cdef _begin_batch(self, Dispatcher dispatcher)
    @cython.locals(
        shared=Shared, dispatcher=Dispatcher, endpoint=Endpoint, contexts=Contexts,
        checked="unsigned int",
    )
    cdef _work(self, Py_ssize_t start, Py_ssize_t stop)
    cdef _on_event(self, event)
    @cython.locals(inbox=Inbox, limit=Py_ssize_t)
    cdef _deliver(self, item)
    @cython.locals(shared=Shared, seconds=double)
    cpdef _pause(self, int why)
    @cython.locals(dispatcher=Dispatcher)
    cpdef _resume(self, int why)
    cdef _read_again(self, Dispatcher dispatcher)
    @cython.locals(link=Link, outbox=Outbox, waits=bint)
    cdef _update_interest(self)
    @cython.locals(outbox=Outbox)
    cpdef _on_writable(self)
    @cython.locals(shared=Shared, outbox=Outbox, size=Py_ssize_t, blocked=bint)
    cpdef _balance(self, bint was_blocked)
    @cython.locals(link=Link, outbox=Outbox)
    cpdef _on_mark(self)
    cpdef _start_close(self, code, reason, cause=*)
    cpdef _abort(self, reason)
    cpdef _fail(self, int code, str reason)
    cpdef _on_eof(self, error)
    @cython.locals(shared=Shared, dispatcher=Dispatcher, seconds=double)
    cpdef _on_hangup(self)
    cpdef _on_half_closed(self)
    cpdef double _on_deadline(self, double now) except? -1
