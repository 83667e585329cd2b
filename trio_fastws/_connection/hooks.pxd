cimport cython

from trio_fastws._transport.contexts cimport Contexts
from trio_fastws._transport.contract cimport Dispatcher, Link
from .ending cimport settle
from .outbox cimport Outbox
from .sending cimport Sender

# Numbers of the module as C has them: not seen from Python.
cdef int OPEN, RESET, CLOSING, WHEN_EMPTY

@cython.locals(was_open=bint)
cpdef on_error(Sender ws, where, error)
@cython.locals(gone=bint)
cdef bint _is_end(Sender ws, where, error) except? -1
cpdef call_alone(Sender ws, str hook)
cpdef _call_hook(Sender ws, str hook, function)
@cython.locals(dispatcher=Dispatcher, contexts=Contexts)
cdef _run_batch(Sender ws, function, tuple args)
@cython.locals(link=Link, outbox=Outbox)
cpdef call_on_drain(Sender ws)
