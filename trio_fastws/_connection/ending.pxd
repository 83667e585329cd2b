cimport cython

from trio_fastws._transport.contract cimport Dispatcher, Link
from trio_fastws._transport.linger cimport Linger
from .inbox cimport Inbox
from .outbox cimport Outbox
from .sending cimport Sender
from .shared cimport Shared

# Numbers of the module as C has them: not seen from Python.
cdef int CLOSE, RESET, CLOSING, ENDING, HALF_CLOSED, CLOSED

cpdef get_closing(Sender ws)
@cython.locals(link=Link)
cdef _note_sent(Sender ws, code, reason)
@cython.locals(before=int, after=int, shared=Shared, deadline=double)
cpdef move(Sender ws, str event)
@cython.locals(outbox=Outbox)
cpdef start_close(Sender ws, code, reason, cause)
cpdef end(Sender ws, event)
@cython.locals(state=int, link=Link, dispatcher=Dispatcher)
cpdef settle(Sender ws)
@cython.locals(link=Link, waited=bint)
cpdef on_eof(Sender ws, error)
cpdef abort(Sender ws, reason)
@cython.locals(inbox=Inbox)
cpdef abandon(Sender ws)
cpdef reset(Sender ws)
@cython.locals(shared=Shared, dispatcher=Dispatcher, link=Link, left=double)
cpdef finish(Sender ws, str event)
cpdef wake(Sender ws, bint closed)
cpdef wake_senders(Sender ws, bint closed)
