cimport cython

from trio_fastws._protocol.prepared cimport PreparedMessage
from .connection cimport Connection
from .inbox cimport Inbox
from .shared cimport Shared

# Numbers of the module as C has them: not seen from Python.
cdef int BY_INBOX, CLOSING

cpdef send(Connection ws, int opcode, bytes payload, PreparedMessage prepared, bint compress)
cpdef pass_on(Connection ws)
@cython.locals(shared=Shared, inbox=Inbox)
cpdef Inbox begin(Connection ws)
cpdef bint is_ready(Connection ws, Inbox inbox)
cpdef bint waits_for_a_task(Connection ws) except? -1
cpdef bint must_wait(Connection ws, Inbox inbox, bint iterating) except? -1
cpdef take(Connection ws, Inbox inbox)
cpdef check_end(Connection ws, bint iterating)
cpdef receive_text_as_bytes(Connection ws)
cpdef receive_pieces(Connection ws)
cpdef skip_message(Connection ws, Inbox inbox, bint begun)
