cimport cython

from trio_fastws._transport.contexts cimport Contexts
from trio_fastws._transport.contract cimport Link, Dispatcher
from .outbox cimport Outbox

from .input cimport Input

# Numbers of the module as C has them: not seen from Python.
cdef int BY_OUTBOX, WHEN_EMPTY


cdef class Pressure(Input):
    @cython.locals(outbox=Outbox)
    cdef _on_crowded(self)
    cdef _owe_drain(self)
    cdef bint _is_drained(self, Outbox outbox) except? -1
    @cython.locals(link=Link)
    cdef _tell_drained(self)
    @cython.locals(contexts=Contexts)
    cdef _call_alone(self, Dispatcher dispatcher, str hook)
