cimport cython

from trio_fastws._transport.contexts cimport Contexts
from trio_fastws._transport.contract cimport Dispatcher, Link
from .ending cimport settle
from .outbox cimport Outbox
from .sending cimport Sender

# Numbers of the module as C has them: not seen from Python.
cdef int OPEN, RESET, CLOSING, WHEN_EMPTY

@cython.locals(state=int, gone=bint)
cpdef on_error(Sender ws, where, error)
@cython.locals(dispatcher=Dispatcher, contexts=Contexts)
cpdef call_alone(Sender ws, str hook)
@cython.locals(link=Link, outbox=Outbox)
cpdef call_on_drain(Sender ws)
